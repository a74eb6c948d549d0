"""The live file: written by a run, read by whoever looks."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from outlast.clock import now_ns
from outlast.history.history import FaultRecord
from outlast.history.live import FILE, POINTER, Live, read_live
from outlast.history.op import Outcome
from outlast.history.recorder import Recorder
from outlast.run.live_feed import LiveFeed

S = 1_000_000_000


def feed(tmp_path: Path) -> LiveFeed:
    for name in ("run", "lab"):
        (tmp_path / name).mkdir()
    return LiveFeed(
        tmp_path / "run", tmp_path / "run" / "ops", "lab", "a-drill", "patroni", 20.0, [tmp_path / "lab"]
    )


async def test_what_a_run_does_is_read_from_its_labs_folder(tmp_path: Path) -> None:
    made = feed(tmp_path)
    async with made.publishing():
        found = read_live(tmp_path / "lab")
        assert found is not None
        assert (found.drill, found.phase, found.ok, found.is_running) == ("a-drill", "settling", 0, True)
        with Recorder(tmp_path / "run" / "ops" / "w", clients=2) as recorder:
            good, bad = recorder.tag(Outcome.OK), recorder.tag(Outcome.FAIL, error="no")
            write = recorder.function("append")
            for tag in (good, good, bad):
                recorder.invoke(0, write, 1, now_ns())
                recorder.complete(0, tag, 0, now_ns())
            recorder.invoke(1, write, 1, now_ns())
            faults = [FaultRecord("process_kill", ("a",), 0, 0, now_ns(), None, True, "")]
            made.begin(now_ns() - 3 * S, faults)
            made.publish()
            found = read_live(tmp_path / "lab")
            assert found is not None
            assert (found.phase, found.ok, found.fail, found.open) == ("load", 2, 1, 1)
            assert [one.fault for one in found.faults_active] == ["process_kill"]
            assert 2.5 < found.elapsed_s < 10
            faults[0] = replace(faults[0], healed_ns=now_ns())
        made.end(now_ns())
        made.phase, made.verdict = "done", "pass"
    found = read_live(tmp_path / "run")
    assert found is not None
    assert (found.verdict, found.is_running, found.faults_active) == ("pass", False, ())


async def test_a_run_that_ends_by_an_error_says_so(tmp_path: Path) -> None:
    made = feed(tmp_path)
    with pytest.raises(RuntimeError):
        async with made.publishing():
            raise RuntimeError
    found = read_live(tmp_path / "lab")
    assert found is not None
    assert (found.verdict, found.phase) == ("unknown", "ended without a verdict")


async def test_a_folder_that_has_gone_ends_no_run(tmp_path: Path) -> None:
    made = LiveFeed(tmp_path / "no", tmp_path / "no" / "ops", "lab", "d", "patroni", 1.0, [tmp_path / "nor"])
    async with made.publishing():
        made.begin(now_ns(), ())
        made.publish()


def test_a_run_whose_tool_was_killed_does_not_run_for_ever(tmp_path: Path) -> None:
    live = Live("r", "l", "d", "patroni", "load", now_ns() - 60 * S)
    (tmp_path / FILE).write_text(json.dumps(asdict(live)))
    found = read_live(tmp_path)
    assert found == live
    assert not found.is_running


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"version": 1}', '{"version": 99, "faults": []}', "null"]
)
def test_what_is_no_live_file_is_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    assert read_live(tmp_path) is None
    assert read_live(tmp_path / "none") is None
    (tmp_path / POINTER).write_text("/nonexistent\n")
    assert read_live(tmp_path) is None
