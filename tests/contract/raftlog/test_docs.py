"""What docs/raftlog.md says is so: its config file is read, its commands exist, its states of a node are
said."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from outlast.pace import scaled
from raftlog.cli import _parser
from raftlog.config import NodeConfig, load
from raftlog.kafka.requests import APIS

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "raftlog.md").read_text(encoding="utf-8")


def test_config_in_the_document_is_read_and_names_every_key(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", TEXT, re.S)
    path = tmp_path / "node.toml"
    path.write_text(
        block.replace("replication_factor = 3", "replication_factor = 1").replace("min_insync = 2", "")
    )
    config = load(path, {})
    for model in (
        NodeConfig,
        type(config.snapshot),
        type(config.object_store),
        type(config.kafka),
        type(config.timing),
    ):
        for key in model.model_fields:
            assert re.search(rf"^\[*{key}\b", block, re.M), key


def test_every_command_in_the_document_is_understood() -> None:
    (block,) = re.findall(r"## Commands\n\n(.*?)\n\n\(", TEXT, re.S)
    lines = [line.strip() for line in block.splitlines()] + re.findall(r"`(raftlog add-node[^`]*)`", TEXT)
    assert len(lines) > 8
    for line in lines:
        command = line.split("   ")[0].replace("[", "").replace("]", "")
        words = [
            {"FILE": "f", "ID": "1", "A": "h:1", "HOST:PORT": "h:1"}.get(word, word)
            for word in command.split()
        ]
        _parser().parse_args(words[1:])


def test_requests_in_the_document_are_those_that_are_served() -> None:
    names = {
        "".join(word.capitalize() for word in api.name.split("_")): api.versions for api in APIS.values()
    }
    for name, (low, high) in names.items():
        low = 3 if name == "Produce" else low
        assert f"{name} {low}–{high}" in TEXT.replace("\n", " "), name


@pytest.mark.parametrize("module", ["raftlog", "raftlog.sim", "raftlog.testing.conformance"])
def test_programs_in_the_document_run(module: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )
    assert found.returncode in (0, 1, 64)
    assert "usage" in found.stdout + found.stderr or "scenario" in found.stderr
