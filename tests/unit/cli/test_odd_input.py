"""What a stranger types and pipes in ends in one line that says what is wrong: never in our own fault."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import raftlog.cli
from outlast.cli import balancers
from outlast.cli.main import OUR_FAULT, READER_GONE, USAGE, run
from outlast.clusters import cluster_checks
from outlast.clusters.lifecycle import _check_ports
from outlast.config import load_cluster
from outlast.errors import UnavailableError
from outlast.hosts.netns.lab import _remove_tree
from outlast.systems.base import NodeView, Role

LONG = "x" * 5000
EXAMPLE = Path(__file__).parents[3] / "examples" / "pgbalancer_cluster_simple.json"


@pytest.mark.parametrize(
    "words",
    [
        ["check", LONG],
        ["report", LONG],
        ["report", LONG, "--html", "x.html"],
        ["load", "-"],
        ["load", "<b>"],
        ["load", "command"],
        ["load", "append", "--rate", "9" * 400],
        ["load", "append", "--duration", "9" * 400],
        ["status", "--watch", "--for", "nan"],
        ["chaos", "health", "--log", "/proc/x"],
        ["soak", "--system", ""],
        ["drill", "switchover", "--junit", "/dev/null/x.xml"],
        ["suite", "failover", "--junit", "."],
        ["soak", "--junit", "/dev/null/x.xml"],
        ["report", "x", "--html", "no-folder/x.html"],
        ["drill", "switchover", "--lab", "x", "--system", "pgpool"],
        ["drill", "switchover", "--lab", "x", "--set", "nodes=5"],
        ["drill", "switchover", "--lab", "x", "--profile", "fast"],
        ["suite", "failover", "--lab", "x", "--set", "sync=off"],
        ["chaos", "health", "--lab", "x", "--system", "patroni"],
        ["logs", "-n", "0"],
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_odd_words_are_bad_usage_and_print_no_document(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OUTLAST_STATE", str(tmp_path / "state"))
    assert run([*words, "--json"]) == USAGE
    said = capsys.readouterr()
    assert said.out == "" and "rror: " in said.err and "itself" not in said.err
    assert not list((tmp_path / "state").glob("labs/*"))


@pytest.mark.parametrize("opener", ["[", "{:a ", "#{", "("])
def test_a_deeply_nested_history_is_refused_with_its_line(
    opener: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "deep.edn"
    file.write_text("\n" + opener * 3000 + {"[": "]", "(": ")"}.get(opener, "}") * 3000)
    assert run(["check", str(file), "--format", "jepsen-edn", "--model", "register"]) == USAGE
    assert "deep.edn:2: is nested deeper" in capsys.readouterr().err


def test_a_load_program_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["load", "command", "--", "no-such-program"]) == USAGE
    assert "there is no program no-such-program" in capsys.readouterr().err


def test_a_folder_that_is_closed_to_us_is_no_fault_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    class Closed:
        def main(self, *_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", "/closed/x")

    class Broken:
        def main(self, *_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    assert run([], Closed()) == USAGE  # type: ignore[arg-type]
    assert "/closed/x: Permission denied" in capsys.readouterr().err
    assert run([], Broken()) == OUR_FAULT  # type: ignore[arg-type]


def test_a_balancer_file_is_worked_on_where_it_cannot_be_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OUTLAST_STATE", str(tmp_path))
    (tmp_path / balancers.REMEMBERED).mkdir()
    assert run(["status", "--config", str(EXAMPLE)], balancers.balancers, "pgbalancer-cluster") == 1
    assert "not up" in capsys.readouterr().out
    (tmp_path / balancers.REMEMBERED).rmdir()
    (tmp_path / balancers.REMEMBERED).write_text("[]")
    assert run(["status"], balancers.balancers, "pgbalancer-cluster") == USAGE


def test_a_pinned_port_in_use_is_refused_before_anything_is_made() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        spec = load_cluster("patroni", [f"ports={{pg-node-3: {port}}}"])
        with pytest.raises(UnavailableError, match=f"port {port} for pg-node-3") as refused:
            _check_ports(spec)
    assert "--set ports.pg-node-3=PORT" in str(refused.value.hint)
    _check_ports(spec)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("outlast ls settings >&-", 0),
        ("outlast up no-such >&- 2>&- <&-", USAGE),
        ("outlast ls labs --json <&-", 0),
        ("outlast --help | true", READER_GONE),
    ],
)
def test_closed_streams_end_as_anything_else_does(line: str, code: int, tmp_path: Path) -> None:
    script = f"set -o pipefail; outlast() {{ '{sys.executable}' -m outlast.cli.main \"$@\"; }}; {line}"
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "OUTLAST_STATE": str(tmp_path)},
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")


def test_two_removals_of_one_folder_at_once_both_end_well(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    for number in range(40):
        (folder / str(number)).mkdir(parents=True)
        for file in range(20):
            (folder / str(number) / str(file)).touch()
    with ThreadPoolExecutor(4) as together:
        list(together.map(_remove_tree, [folder] * 4))
    assert not folder.exists()
    _remove_tree(folder)


class _Followers:
    """A cluster without PostgreSQL servers, as raftlog's and etcd's are."""


async def test_a_follower_of_a_consensus_group_is_no_stalled_standby() -> None:
    now = NodeView("n2", Role.STANDBY, "172.28.0.12", 9092, None, "follower", True)
    assert await cluster_checks._stall(_Followers(), now, now) is None  # type: ignore[arg-type]


def _never(_path: Path) -> None:
    """Make nothing."""


@pytest.mark.parametrize(
    ("words", "make"),
    [
        (["status", "--timeout", "-1"], _never),
        (["status", "--timeout", "nan"], _never),
        (["status", "--timeout", "1e99"], _never),
        (["status", "--admin", "a b:1"], _never),
        (["check-config", "--config", "file"], Path.mkdir),
        (["check-config", "--config", "file"], lambda path: path.write_bytes(b"#" * 300_000)),
        (["check-config", "--config", "/dev/zero"], _never),
    ],
    ids=range(7),
)
def test_raftlog_refuses_odd_words_in_a_line(
    words: list[str],
    make: Callable[[Path], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "file")
    monkeypatch.setattr("sys.argv", ["raftlog", *words])
    try:
        code = raftlog.cli.main()
    except SystemExit as stop:
        code = int(str(stop.code))
    assert code in (2, 64, 69)
    assert "raftlog" in capsys.readouterr().err
