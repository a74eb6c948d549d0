"""A run comes back from its store as it was."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from outlast.errors import HistoryError
from outlast.history.history import (
    FaultRecord,
    FinalRead,
    History,
    NodeContent,
    NodeObservation,
    RestoredRead,
)
from outlast.history.op import NEVER, NONE, Ops, Outcome, event_positions
from outlast.history.reading import read_ops
from outlast.history.recorder import Recorder
from outlast.history.store import RunDocument, load_run, save_document, save_run

DOCUMENT = RunDocument(
    name="primary-power-off",
    system="patroni",
    profile="fast",
    seed=7,
    replay="outlast drill primary-power-off --seed 7",
    started="20260102T030405Z",
    verdict="pass",
    cluster={"nodes": 3, "sync": "on"},
    drill={"timeline": [{"at": "5s"}]},
    versions={"postgresql": "18.4"},
    plan=({"at_s": 5.0, "fault": "host_power_off"},),
    findings=({"name": "lost_writes", "verdict": "pass"},),
    notes={"rejoin_s": 1.5},
)


def history(ops: Ops) -> History:
    return History(
        ops=ops,
        faults=(FaultRecord("host_power_off", ("n1",), 10, 11, 12, None, True, "gone", {"hard": True}),),
        observations=(NodeObservation(15, "n2", "node", "primary", 2, 99, "running", "sync"),),
        final=FinalRead(
            primary="n2",
            timeline=2,
            lsn=1234,
            at_ns=99,
            values={"append": np.array([1, 2, 5], dtype=np.int64), "empty": np.array([], dtype=np.int64)},
            contents=(NodeContent("n2", 1234, {"t": "abc"}, {"t": 3}),),
            missing=("n1",),
            timeline_starts=((2, 1000),),
            strays={"n3": {"append": np.array([1, 7], dtype=np.int64)}},
        ),
        start_ns=1,
        end_ns=90,
        complete=False,
        restored=RestoredRead(
            "12:00", "20260102-030405F", 3, 5000, 2.5, 4, 6, {"append": np.array([1, 2], dtype=np.int64)}
        ),
    )


def some_ops(n: int, payload: bool = False) -> Ops:
    rng = np.random.default_rng(n)
    invoke = np.sort(rng.integers(1, 1 << 40, n))
    complete = np.where(rng.random(n) < 0.2, NEVER, invoke + rng.integers(1, 1 << 30, n))
    invoke_pos, complete_pos = event_positions(invoke, complete)
    return Ops(
        process=rng.integers(0, 9, n).astype(np.int32),
        f=np.zeros(n, dtype=np.int16),
        f_names=("append",),
        key=np.where(rng.random(n) < 0.5, NONE, 4),
        value=rng.integers(-5, 1 << 60, n),
        invoke_ns=invoke,
        complete_ns=complete,
        invoke_pos=invoke_pos,
        complete_pos=complete_pos,
        outcome=rng.integers(0, len(Outcome), n).astype(np.uint8),
        node=rng.integers(-1, 2, n).astype(np.int16),
        node_names=("n1", "n2"),
        timeline=rng.integers(0, 3, n).astype(np.int32),
        lsn=rng.integers(0, 1 << 50, n),
        error=rng.integers(-1, 1, n).astype(np.int32),
        error_names=("57P01: gone",),
        payload=[f"[{i}]" if i % 2 else None for i in range(n)] if payload else None,
    )


def assert_same_ops(one: Ops, other: Ops) -> None:
    for field in fields(Ops):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, field.name
            assert np.array_equal(a, b), field.name
        else:
            assert a == b, field.name


@pytest.mark.parametrize("payload", [False, True])
@pytest.mark.parametrize("n", [0, 1, 1000])
def test_a_run_comes_back_as_it_was(tmp_path: Path, n: int, payload: bool) -> None:
    saved = history(some_ops(n, payload and n > 1))
    save_run(tmp_path / "run", saved, DOCUMENT)
    loaded, document = load_run(tmp_path / "run")
    assert document == DOCUMENT
    assert_same_ops(loaded.ops, saved.ops)
    assert saved.final is not None
    assert loaded.final is not None
    for name, values in saved.final.values.items():
        assert np.array_equal(loaded.final.values[name], values)
    assert loaded.final.strays["n3"]["append"].tolist() == [1, 7]
    assert replace(loaded.final, values={}, strays={}) == replace(saved.final, values={}, strays={})
    assert loaded.restored is not None
    assert saved.restored is not None
    assert loaded.restored.values["append"].tolist() == [1, 2]
    assert replace(loaded.restored, values={}) == replace(saved.restored, values={})
    assert (loaded.faults, loaded.observations) == (saved.faults, saved.observations)
    assert (loaded.start_ns, loaded.end_ns, loaded.complete) == (1, 90, False)


def test_a_run_without_final_read_has_none(tmp_path: Path) -> None:
    save_run(tmp_path, history(some_ops(5)), DOCUMENT)
    save_run(tmp_path, replace(history(some_ops(5)), final=None), DOCUMENT)
    assert load_run(tmp_path)[0].final is None


def test_saving_replaces_the_recordings_by_one_file(tmp_path: Path) -> None:
    with Recorder(tmp_path / "ops" / "w0", clients=1) as recorder:
        recorder.invoke(0, recorder.function("append"), 5, 10)
        recorder.complete(0, recorder.tag(Outcome.OK, "n1", 1), 77, 20)
    recorded = read_ops(tmp_path / "ops")
    save_run(tmp_path, History(recorded), DOCUMENT)
    assert not (tmp_path / "ops").exists()
    assert_same_ops(load_run(tmp_path)[0].ops, recorded)


def test_a_check_that_ran_again_replaces_the_document_only(tmp_path: Path) -> None:
    saved = history(some_ops(10))
    save_run(tmp_path, saved, DOCUMENT)
    save_document(tmp_path, replace(DOCUMENT, verdict="fail"))
    loaded, document = load_run(tmp_path)
    assert document.verdict == "fail"
    assert_same_ops(loaded.ops, saved.ops)


def test_a_store_that_cannot_be_read_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"run\.json: no such file"):
        load_run(tmp_path)
    save_run(tmp_path, history(some_ops(10)), DOCUMENT)
    (tmp_path / "ops.arrow").write_bytes(b"ARROW1 but not really")
    with pytest.raises(HistoryError, match=r"ops\.arrow"):
        load_run(tmp_path)
    save_run(tmp_path, history(some_ops(10)), DOCUMENT)
    (tmp_path / "final.npz").write_bytes(b"")
    with pytest.raises(HistoryError, match=r"final\.npz"):
        load_run(tmp_path)
    save_run(tmp_path, history(some_ops(10)), DOCUMENT)
    (tmp_path / "restored.npz").unlink()
    with pytest.raises(HistoryError, match=r"restored\.npz"):
        load_run(tmp_path)
    save_run(tmp_path, history(some_ops(10)), DOCUMENT)
    run = json.loads((tmp_path / "run.json").read_text())
    for broken in ({}, run | {"version": 99}, {**run, "faults": [{"fault": "x"}]}, {**run, "document": {}}):
        (tmp_path / "run.json").write_text(json.dumps(broken))
        with pytest.raises(HistoryError, match=r"run\.json"):
            load_run(tmp_path)
    (tmp_path / "run.json").write_bytes(b"\xff\xfe")
    with pytest.raises(HistoryError, match=r"run\.json"):
        load_run(tmp_path)
