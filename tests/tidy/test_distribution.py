"""What would be published: built here, checked as PyPI checks it, and compared with the repository file by file."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
NOT_IN_THE_WHEEL = ("src/outlast/testing/", "src/raftlog/testing/")
SDIST_FILES = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "pyproject.toml",
    ".gitignore",
)
SDIST_FOLDERS = ("src", "tests", "benchmarks", "docs", "examples", "tools")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sdist and the wheel. hatchling builds without a download."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return folder


def tracked(*folders: str) -> set[str]:
    """Return the repository's files, also those about to be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    return {name for name in listed if name and (ROOT / name).is_file()}


def metadata(wheel: Path) -> Message:
    """Return the wheel's metadata."""
    with zipfile.ZipFile(wheel) as files:
        name = next(name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(files.read(name))


def test_the_wheel_holds_the_packages_whole_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        held = {name for name in files.namelist() if ".dist-info/" not in name}
        licenses = [name for name in files.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
    wanted = {name.removeprefix("src/") for name in tracked("src") if not name.startswith(NOT_IN_THE_WHEEL)}
    assert held == wanted
    assert len(licenses) == 1
    for needed in (
        "outlast/py.typed",
        "raftlog/py.typed",
        "outlast/drills/node-loss/primary-power-off.yaml",
        "outlast/config/presets/patroni.yaml",
    ):
        assert needed in held
    for folder in (
        "web/static",
        "report/html/templates",
        "monitoring/rules",
        "monitoring/grafana/dashboards",
    ):
        assert any(name.startswith(f"outlast/{folder}/") for name in held), folder


def test_the_sdist_holds_the_checkout_and_nothing_else(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as files:
        held = {name.split("/", 1)[1] for name in files.getnames()}
    assert held - {"PKG-INFO"} == tracked(*SDIST_FOLDERS) | set(SDIST_FILES)


def test_pypi_would_take_both(built: Path) -> None:
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_version_is_that_of_the_changelog(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    version = re.search(
        r"^## (\d+\.\d+\.\d+), \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert version is not None
    assert metadata(wheel)["Version"] == version[1]


def test_every_link_of_the_published_readme_is_absolute(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    body = metadata(wheel).get_payload()
    assert isinstance(body, str)
    links = re.findall(r"\]\(([^)]+)\)", body)
    assert len(links) > 20
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    for link in links:
        if link.startswith(f"{REPOSITORY}/blob/main/"):
            path = link.removeprefix(f"{REPOSITORY}/blob/main/").split("#")[0]
            assert (ROOT / path).exists(), link


def test_the_repository_has_one_address() -> None:
    address = re.compile(r"https://github\.com/([\w-]*outlast[\w-]*/[\w.-]*\w)")
    for name in tracked("docs", "examples", "src", "README.md", "CONTRIBUTING.md", "pyproject.toml"):
        text = (ROOT / name).read_bytes().decode(errors="replace")
        for place in address.findall(text):
            assert f"https://github.com/{place}".removesuffix(".git") == REPOSITORY, name
