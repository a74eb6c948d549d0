"""What an extra lacks is a refusal with the command that installs it, exit 64, and never a traceback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from outlast import extras
from outlast.suites.suite import skipped_report

PROJECT = tomllib.loads(Path("pyproject.toml").read_text())["project"]
OPTIONAL = PROJECT["optional-dependencies"]

WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Without:
    find_distributions = PathFinder.find_distributions

    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.split(".")[0] in {absent} else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""
"""As if the modules were not installed: the finder of installed modules does not see them."""

OUTLAST = "from outlast.cli.main import run; sys.exit(run(sys.argv[1:]))"
RAFTLOG = "from raftlog.cli import main; sys.exit(main(sys.argv[1:]))"


def run_without(
    absent: tuple[str, ...], code: str, arguments: list[str], state: Path
) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python that lacks modules."""
    program = WITHOUT.format(absent=set(absent)) + code
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"OUTLAST_STATE": str(state), "PATH": "/usr/bin:/bin", "HOME": str(state)},
    )


def test_the_extras_are_those_of_the_distribution() -> None:
    assert set(extras.EXTRAS) == set(OPTIONAL) - {"all", "dev"}
    everything = OPTIONAL["all"][0]
    assert everything == f"outlast[{','.join(sorted(extras.EXTRAS))}]"
    for extra, modules in extras.EXTRAS.items():
        assert len(modules) == len(OPTIONAL[extra]), extra


@pytest.mark.parametrize(
    ("extra", "arguments"),
    [
        ("raftlog", ["up", "raftlog"]),
        ("raftlog", ["suite", "raft-failure"]),
        ("raftlog", ["suite", "raft-recovery"]),
        ("raftlog", ["drill", "kv-leader-kill", "--system", "raftlog"]),
        ("transactions", ["drill", "isolation"]),
        ("transactions", ["check", "history.edn", "--format", "jepsen-edn", "--model", "list-append"]),
        ("transactions", ["check", "history.edn", "--format", "jepsen-edn", "--model", "rw-register"]),
        ("web", ["serve", "--port", "0"]),
    ],
)
def test_a_command_that_needs_an_extra_is_refused_with_what_installs_it(
    extra: str, arguments: list[str], tmp_path: Path
) -> None:
    history = tmp_path / "history.edn"
    history.write_text("{:type :invoke, :f :txn, :value [[:append 1 1]], :process 0, :index 0}\n")
    arguments = [str(history) if word == history.name else word for word in arguments]
    done = run_without(extras.EXTRAS[extra], OUTLAST, arguments, tmp_path)
    assert done.returncode == 64, done.stdout + done.stderr
    assert f"hint: {extras.install_command(extra)}" in re.sub(r"\s*\n\s+", " ", done.stderr)
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("labs/*")), "a lab was made before the refusal"


def test_a_member_that_a_suite_skips_for_an_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.EXTRAS, "raftlog", ("kio_that_nobody_has",))
    error = extras.missing("raftlog")
    assert error is not None
    reason = skipped_report("a-drill", "A drill", error).reason
    assert "kio_that_nobody_has" in reason
    assert extras.install_command("raftlog") in reason


@pytest.mark.parametrize("absent", ["uvloop", "confluent_kafka"])
def test_a_bench_is_refused_without_what_it_needs(absent: str, tmp_path: Path) -> None:
    done = run_without((absent,), OUTLAST, ["bench", "raftlog"], tmp_path)
    assert done.returncode == 64, done.stderr
    assert absent in done.stderr
    assert "Traceback" not in done.stderr


def test_raftlog_alone_says_what_is_not_installed(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(
        f"""
        cluster = "c"
        node_id = 1
        data_dir = "{tmp_path}/data"

        [[peers]]
        id = 1
        kafka = "127.0.0.1:1"
        peer = "127.0.0.1:2"
        admin = "127.0.0.1:3"
        """
    )
    done = run_without(
        ("kio", "aiokafka", "zstandard"), RAFTLOG, ["serve", "--config", str(config)], tmp_path
    )
    assert done.returncode == 64, done.stderr
    assert "not installed" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_other_command_needs_an_extra(tmp_path: Path) -> None:
    every = tuple(module for modules in extras.EXTRAS.values() for module in modules)
    code = """
from importlib import import_module
from outlast.cli.main import COMMANDS
for module in sorted(set(COMMANDS.values())):
    import_module(f"outlast.cli.{module}")
import outlast.api, outlast.pytest_plugin, outlast.run.drill, outlast.clusters.machine_checks, outlast.report.html.page
import outlast.suites.suite, outlast.soak, outlast.monitoring.exporter.main
print("all of them")
"""
    done = run_without(every, code, [], tmp_path)
    assert done.stdout == "all of them\n", done.stderr


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, "pip install 'outlast[web]'"),
        (
            {"url": "file:///home/a%20b/outlast", "dir_info": {"editable": True}},
            "pip install -e '/home/a b/outlast[web]'",
        ),
        ({"url": "file:///src/outlast", "dir_info": {}}, "pip install '/src/outlast[web]'"),
        (
            {"url": "file:///tmp/outlast-1-py3-none-any.whl", "archive_info": {}},
            "pip install 'outlast[web] @ file:///tmp/outlast-1-py3-none-any.whl'",
        ),
        (
            {"url": "https://host/outlast", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip install 'outlast[web] @ git+https://host/outlast@abc'",
        ),
    ],
)
def test_the_command_installs_from_where_outlast_came(
    origin: dict[str, object] | None, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = SimpleNamespace(read_text=lambda _name: None if origin is None else json.dumps(origin))
    monkeypatch.setattr(extras, "distribution", lambda _name: recorded)
    assert extras.install_command("web") == command
