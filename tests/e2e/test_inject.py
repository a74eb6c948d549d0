"""Faults by hand on a lab that is up: injected by one process, healed by another, whatever died in between."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import command, outlast
from waiting import until

from outlast.hosts.netns.lab import NetnsLab
from outlast.hosts.state import labs_folder
from outlast.pace import scaled

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state folder of the module's one lab."""
    state = tmp_path_factory.mktemp("by-hand")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTLAST_STATE", str(state))
        up = outlast("up", "patroni", "--profile", "fast", "--name", "by-hand")
        assert up.code == 0, up.err
        yield state
        down = outlast("down", "--all", "--json")
        assert list(labs_folder().iterdir()) == [], down.err


@pytest.fixture
def lab(shared: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OUTLAST_STATE", str(shared))
    return "by-hand"


def test_inject_heal_and_load(lab: str) -> None:
    paused = outlast(
        "inject", "process_pause", "--on", "one-standby", "--set", "process=postgres", "--seed", "1", "--json"
    )
    assert paused.code == 0, paused.err
    assert paused.json["effective"] is True
    frozen = outlast("inject", "replay_pause", "--on", paused.json["targets"][0])
    assert frozen.code != 0, "its server is stopped, so it cannot be asked"
    assert outlast("inject", "slot_drop", "--on", "primary", "--json").json["effective"] is True
    healed = outlast("heal", "--lab", lab, "--json")
    assert healed.code == 0, healed.err
    assert [one["fault"] for one in healed.json["healed"]] == ["slot_drop", "process_pause"]
    assert (healed.json["failed"], outlast("heal", "--json").json["healed"]) == ([], [])
    assert outlast("status", "--json").json["ready"] is True
    load = outlast("load", "append", "--duration", "2s", "--rate", "200/s", "--json")
    assert load.code == 0, load.err
    assert (load.json["verdict"], load.json["plan"]) == ("pass", [])
    assert load.json["acked"] > 200


def test_a_tool_that_dies_while_it_injects_leaves_something_that_can_be_healed(
    lab: str, tmp_path: Path
) -> None:
    words = ("inject", "rolling_restart", "--on", "all", "--set", "off_s=20")
    with (tmp_path / "out").open("w") as out:
        tool = subprocess.Popen(command(*words), stdout=out, stderr=out)
        folder = labs_folder() / lab / "injections"

        def in_the_middle() -> bool:
            assert tool.poll() is None, (tmp_path / "out").read_text()
            hosts = NetnsLab.open(labs_folder() / lab).hosts.values()
            return bool(list(folder.glob("*.json"))) and not all(host.is_on for host in hosts)

        until(in_the_middle, "the first host to be off", 30)
        tool.send_signal(signal.SIGKILL)
        tool.wait(scaled(10))
    written = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    assert [one["fault"] for one in written] == ["rolling_restart"]
    healed = outlast("heal", "--json")
    assert healed.code == 0, healed.err
    assert healed.json["healed"][0]["fault"] == "rolling_restart"
    assert outlast("status", "--json").json["ready"] is True


def test_bad_usage_is_refused_before_anything_is_touched(lab: str) -> None:
    for words, message in (
        (("inject", "no_such_fault", "--on", "primary"), "no_such_fault"),
        (("inject", "process_kill", "--on", "nobody"), "nobody"),
        (("inject", "process_kill", "--on", "primary", "--set", "prozess=x"), "prozess"),
        (("inject", "process_kill", "--on", "primary", "--set", "process"), "PARAM=VALUE"),
        (("load", "no_such_load"), "no_such_load"),
    ):
        done = outlast(*words)
        assert done.code == 64, (done.out, done.err)
        assert message in done.err
        assert not list((labs_folder() / lab).glob("injections/*.json"))
