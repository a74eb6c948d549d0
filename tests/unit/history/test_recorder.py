"""Recordings: nothing that was recorded is lost, nothing is read twice."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from outlast.errors import HarnessError, HistoryError
from outlast.history import tail
from outlast.history.op import NEVER, NONE, Outcome
from outlast.history.reading import live_counts, read_ops
from outlast.history.recorder import TAGS_MAX, Recorder
from outlast.history.tail import OPS_FILE, TAIL_FILE, create_tail, open_tail


def record(recorder: Recorder, ops: int, *, clients: int = 3, start_ns: int = 1000) -> None:
    """Record ops interleaved ops; op i has value i, is invoked at start_ns + 10·i and takes 25 ns."""
    f, ok = recorder.function("append"), recorder.tag(Outcome.OK, "n1", 7)
    for i in range(ops):
        if i >= clients:
            recorder.complete(i % clients, ok, 100 + i - clients, start_ns + 10 * (i - clients) + 25)
        recorder.invoke(i % clients, f, i, start_ns + 10 * i)
    for i in range(max(0, ops - clients), ops):
        recorder.complete(i % clients, ok, 100 + i, start_ns + 10 * i + 25)


@pytest.mark.parametrize("ops", [0, 1, 15, 16, 17, 100, 1000])
@pytest.mark.parametrize("closed", [True, False])
def test_every_op_is_read_once_with_what_was_recorded(tmp_path: Path, ops: int, closed: bool) -> None:
    recorder = Recorder(tmp_path / "w0", clients=3, first_process=40, half_rows=16)
    record(recorder, ops)
    if closed:
        recorder.close()
    read = read_ops(tmp_path)
    i = np.arange(ops)
    assert read.value.tolist() == i.tolist()
    assert read.process.tolist() == (40 + i % 3).tolist()
    assert read.invoke_ns.tolist() == (1000 + 10 * i).tolist()
    assert read.complete_ns.tolist() == (1025 + 10 * i).tolist()
    assert read.lsn.tolist() == (100 + i).tolist()
    assert set(read.key.tolist()) <= {NONE}
    assert all(read.node_name(k) == "n1" for k in range(ops))
    assert set(read.timeline.tolist()) <= {7}
    assert read.f_is("append").all()
    assert read.payload is None
    assert sorted([*read.invoke_pos.tolist(), *read.complete_pos.tolist()]) == list(range(2 * ops))


def test_an_op_never_completed_is_info_for_ever_and_survives_many_seals(tmp_path: Path) -> None:
    with Recorder(tmp_path / "w0", clients=2, half_rows=8) as recorder:
        f, ok = recorder.function("append"), recorder.tag(Outcome.OK)
        recorder.invoke(1, f, 999, 5, key=3)
        for i in range(100):
            recorder.invoke(0, f, i, 10 + 2 * i)
            recorder.complete(0, ok, 0, 11 + 2 * i)
    read = read_ops(tmp_path)
    assert len(read) == 101
    assert (read.value[0], read.key[0], read.process[0]) == (999, 3, 1)
    assert read.outcome[0] == Outcome.INFO
    assert read.complete_ns[0] == NEVER
    assert read.complete_pos[0] == NEVER
    assert read.outcome_is(Outcome.OK).sum() == 100


def test_payloads_follow_their_ops_through_seals(tmp_path: Path) -> None:
    with Recorder(tmp_path / "w0", clients=2, half_rows=8, heap_bytes=256) as recorder:
        f, ok = recorder.function("txn"), recorder.tag(Outcome.OK)
        recorder.invoke(1, f, -1, 5)
        recorder.attach(1, "open")
        for i in range(50):
            recorder.invoke(0, f, i, 10 + 2 * i)
            recorder.attach(0, "first")
            if i % 3:
                recorder.attach(0, f'["é{i}"]')
            recorder.complete(0, ok, 0, 11 + 2 * i)
        with pytest.raises(HarnessError, match="does not fit"):
            recorder.attach(1, "x" * 300)
    read = read_ops(tmp_path)
    assert read.payload is not None
    assert list(read.payload) == ["open", *(f'["é{i}"]' if i % 3 else "first" for i in range(50))]


def test_workers_are_merged_in_order_of_invocation(tmp_path: Path) -> None:
    for worker in range(3):
        with Recorder(tmp_path / f"w{worker}", clients=1, first_process=worker) as recorder:
            f = recorder.function("read" if worker == 1 else "append")
            fail = recorder.tag(Outcome.FAIL, f"n{worker}", worker, f"error {worker}")
            for i in range(10):
                recorder.invoke(0, f, worker, 100 * i + worker + 1)
                recorder.complete(0, fail, 0, 100 * i + worker + 50)
    read = read_ops(tmp_path)
    assert read.process.tolist() == [0, 1, 2] * 10
    assert [read.node_name(i) for i in range(3)] == ["n0", "n1", "n2"]
    assert [read.error_text(i) for i in range(3)] == ["error 0", "error 1", "error 2"]
    assert read.f_is("read").tolist() == [False, True, False] * 10


def test_live_counts_follow_a_writer(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "w0", clients=1, half_rows=8)
    assert live_counts(tmp_path)[0].last_ack_ns == 0
    f = recorder.function("append")
    tags = [recorder.tag(outcome) for outcome in Outcome]
    for i in range(101):
        recorder.invoke(0, f, i, 10 + 2 * i)
        if i < 100:
            recorder.complete(0, tags[i % 4], 0, 11 + 2 * i)
        counts = live_counts(tmp_path)[0]
        assert counts.ok + counts.fail + counts.info + counts.local == min(i + 1, 100)
    assert (counts.worker, counts.ok, counts.fail, counts.info, counts.local) == ("w0", 25, 25, 25, 25)
    assert counts.open == 1
    assert counts.last_ack_ns == 11 + 2 * 96
    assert len(read_ops(tmp_path)) == 101


def test_tags_stay_bounded(tmp_path: Path) -> None:
    with Recorder(tmp_path / "w0", clients=1) as recorder:
        tags = {recorder.tag(Outcome.INFO, error=f"error {i}") for i in range(TAGS_MAX + 100)}
    assert len(tags) == TAGS_MAX + 1


@pytest.mark.parametrize("cut", [1, 7, 100, 1000, 3000])
def test_a_batch_that_was_cut_off_is_read_from_the_tail(tmp_path: Path, cut: int) -> None:
    """So SIGKILL leaves a writer that is in the middle of writing a batch."""
    recorder = Recorder(tmp_path / "w0", clients=3, half_rows=64)
    record(recorder, 64 * 3 + 10)
    stream = tmp_path / "w0" / OPS_FILE
    os.truncate(stream, stream.stat().st_size - cut)
    assert read_ops(tmp_path).value.tolist() == list(range(64 * 3 + 10))


def test_a_missing_batch_is_an_error_and_not_a_shorter_history(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "w0", clients=3, half_rows=16)
    record(recorder, 200)
    os.truncate(tmp_path / "w0" / OPS_FILE, 900)
    with pytest.raises(HistoryError, match=r"w0/ops\.arrow: ends after . of 1. batches"):
        read_ops(tmp_path)


def test_what_is_no_recording_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="no such folder"):
        read_ops(tmp_path / "none")
    with pytest.raises(HistoryError, match="holds no recording"):
        read_ops(tmp_path)
    with Recorder(tmp_path / "w0", clients=1) as recorder:
        recorder.function("append")
    with pytest.raises(HistoryError, match="w0"):
        Recorder(tmp_path / "w0", clients=1)
    (tmp_path / "w0" / TAIL_FILE).write_bytes(b"not a tail" * 1000)
    with pytest.raises(HistoryError, match=r"tail\.bin"):
        read_ops(tmp_path)


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "w0", clients=3, half_rows=64)
    record(recorder, 200)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "w0" / OPS_FILE).stat().st_size + 100, limits[1]))
    try:
        with pytest.raises(HistoryError, match=r"ops\.arrow: cannot be written"):
            record(recorder, 100, start_ns=100_000)
        recorder.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    read = read_ops(tmp_path)
    assert read.value[:200].tolist() == list(range(200))
    assert read.value[200:].tolist() == list(range(len(read) - 200))


WRITER = """
import os, sys, time
from pathlib import Path
from outlast.history.op import Outcome
from outlast.history.recorder import Recorder
recorder = Recorder(Path(sys.argv[1]), clients=4, half_rows=256, heap_bytes=4096)
f, ok = recorder.function("append"), recorder.tag(Outcome.OK, "n1", 1)
for i in range(10**9):
    recorder.invoke(i % 4, f, i, time.monotonic_ns())
    recorder.attach(i % 4, str(i))
    if i >= 3:
        recorder.complete((i - 3) % 4, ok, i, time.monotonic_ns())
    if i % 16 == 0:
        os.write(1, b"%d\\n" % (i - 3))
"""


@pytest.mark.parametrize("seed", range(6))
def test_nothing_recorded_before_a_kill_is_lost(tmp_path: Path, seed: int) -> None:
    """The writer says on a pipe which ops it completed; it is read, then killed at a random moment."""
    folder = tmp_path / "ops"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder / "w0")], stdout=subprocess.PIPE, bufsize=0
    )
    assert writer.stdout is not None
    until = random.Random(seed).randrange(1, 2500)
    said = b""
    while said.count(b"\n") < until:
        more = writer.stdout.read(65536)
        assert more, "the writer ended by itself"
        said += more
    alive = read_ops(folder)
    assert np.array_equal(alive.value, np.arange(len(alive)))
    writer.send_signal(signal.SIGKILL)
    said += writer.communicate()[0]
    acked = int(said[: said.rindex(b"\n")].split()[-1])
    read = read_ops(folder)
    assert np.array_equal(read.value, np.arange(len(read)))
    completed = read.value[read.outcome_is(Outcome.OK)]
    assert completed.max() >= acked
    assert len(completed) >= len(read) - 4
    assert read.payload is not None
    assert all(
        text == str(value) for text, value in zip(read.payload[:-1], read.value[:-1].tolist(), strict=True)
    )
    counts = live_counts(folder)[0]
    assert counts.ok == len(completed)
    shutil.rmtree(folder)
    assert time.monotonic_ns() > counts.last_ack_ns


def test_a_header_that_is_being_written_is_never_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader looks at every moment of a tail's making: at no file, at a short one, at half a header."""
    path = tmp_path / TAIL_FILE
    looks: list[object] = []

    def grow(fd: int, _start: int, size: int) -> None:
        for part in (1, 100, size):
            os.ftruncate(fd, part)
            looks.append(open_tail(path))

    class Halting:
        """Stores a header's fields one after another, as another processor may see them stored."""

        def pack_into(self, data: memoryview, at: int, magic: bytes, *_sizes: int) -> None:
            data[at : at + len(magic)] = magic
            looks.append(open_tail(path))
            whole.pack_into(data, at, magic, *_sizes)

    whole = tail._HEADER
    monkeypatch.setattr(os, "posix_fallocate", grow)
    monkeypatch.setattr(tail, "_HEADER", Halting())
    create_tail(path, 16, 64, 0)
    monkeypatch.setattr(tail, "_HEADER", whole)
    assert looks == [None] * 4
    assert open_tail(path) is not None
