"""The state machine: the same entries make the same state, on disk and in a snapshot."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from raftlog.core.types import Entry, Membership, SnapshotPoint
from raftlog.errors import CorruptError, ProtocolError
from raftlog.snapshot import files
from raftlog.snapshot.files import Snapshot, SnapshotFolder
from raftlog.store import commands, partition, record_batch
from raftlog.store.commands import Outcome
from raftlog.store.state_machine import StateMachine, valid_topic


def records(*values: bytes, producer: int = -1, epoch: int = -1, sequence: int = -1) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, False, producer, epoch, sequence, 1 << 20)
    for offset, value in enumerate(values):
        builder.append(offset, int(time.time() * 1000), None, value, [])
    return bytes(builder.build())


def entry(data: bytes, index: int = 1, term: int = 3) -> Entry:
    return Entry(term, index, data)


def machine_with_topic(folder: Path, partitions: int = 1) -> StateMachine:
    machine = StateMachine(folder)
    assert machine.apply(entry(commands.create_topic(b"t", partitions))) == Outcome("", 1)
    return machine


def append(machine: StateMachine, *values: bytes, **producer: int) -> Outcome:
    return machine.apply(entry(commands.append(b"t", 0, records(*values, **producer))))


def test_offsets_follow_on_and_batches_keep_their_checksum(tmp_path: Path) -> None:
    machine = machine_with_topic(tmp_path)
    assert append(machine, b"a", b"b") == Outcome("", 0)
    assert append(machine, b"c") == Outcome("", 2)
    machine.flush()
    found = machine.partition(b"t", 0)
    assert found is not None
    assert found.end == 3
    data = found.read(1, 1 << 20)
    head = record_batch.parse(data)
    assert (head.base_offset, head.records) == (0, 2), "the batch that holds offset 1"
    second = data[head.size :]
    assert record_batch.check(second).base_offset == 2


def test_reading_is_bounded_and_gives_whole_batches(tmp_path: Path) -> None:
    machine = machine_with_topic(tmp_path)
    for number in range(500):
        append(machine, b"%d" % number * 100)
    found = machine.partition(b"t", 0)
    assert found is not None
    offset = 0
    while offset < found.end:
        data = found.read(offset, 2000)
        size = at = 0
        while at < len(data):
            head = record_batch.parse(data, at)
            assert head.base_offset == offset
            offset += head.records
            at += head.size
            size += head.size
        assert size <= 2000
    assert len(found.read(7, 1)) == record_batch.parse(found.read(7, 1)).size, "at least one batch"
    assert found.read(found.end, 100) == b""


def test_partition_rolls_into_files_and_comes_back_from_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition, "FILE_BYTES", 3000)
    machine = machine_with_topic(tmp_path)
    for number in range(60):
        append(machine, b"%d" % number * 50)
    state = machine.state()
    for number in range(60, 90):
        append(machine, b"%d" % number * 50)  # behind the snapshot: to be cut
    machine.flush()
    again = StateMachine(tmp_path)
    again.restore(state)
    found = again.partition(b"t", 0)
    assert found is not None
    assert found.end == 60
    assert len(found.pieces()) > 2
    assert again.state() == state
    assert record_batch.parse(found.read(59, 1)).base_offset == 59


def test_damaged_message_is_found_before_it_is_served(tmp_path: Path) -> None:
    machine = machine_with_topic(tmp_path)
    append(machine, b"x" * 500)
    state = machine.state()
    (path,) = tmp_path.rglob("*.log")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptError, match="does not match the snapshot"):
        StateMachine(tmp_path).restore(state)


def test_batch_that_is_sent_again_is_not_appended_again(tmp_path: Path) -> None:
    machine = machine_with_topic(tmp_path)
    assert append(machine, b"a", b"b", producer=5, epoch=0, sequence=0) == Outcome("", 0)
    assert append(machine, b"a", b"b", producer=5, epoch=0, sequence=0) == Outcome("", 0)
    assert append(machine, b"c", producer=5, epoch=0, sequence=2) == Outcome("", 2)
    assert append(machine, b"z", producer=5, epoch=0, sequence=9).error == "OUT_OF_ORDER_SEQUENCE_NUMBER"
    state = machine.state()
    again = StateMachine(tmp_path)
    again.restore(state)
    assert append(again, b"c", producer=5, epoch=0, sequence=2) == Outcome("", 2)


def test_commands_that_make_no_sense_change_nothing(tmp_path: Path) -> None:
    machine = machine_with_topic(tmp_path)
    before = machine.state()
    for data in (b"", b"\xff", b"\x01", b"\x01\x00\x01\x00\x00\x00\x00t", b"\x02\xff\xff", b"\x04abc"):
        assert machine.apply(entry(data)).value == 0
    assert machine.apply(entry(commands.append(b"nope", 0, records(b"x")))).error
    assert machine.state() == before


def test_registers_compare_before_they_are_written(tmp_path: Path) -> None:
    machine = StateMachine(tmp_path)
    assert machine.apply(entry(commands.kv_cas(b"k", b"old", b"new"))) == Outcome("", 0)
    assert machine.apply(entry(commands.kv_cas(b"k", None, b"1"))) == Outcome("", 1)
    assert machine.apply(entry(commands.kv_cas(b"k", b"1", b"2"))) == Outcome("", 1)
    assert machine.apply(entry(commands.kv_set(b"k", b"3"))) == Outcome("", 1)
    assert machine.registers == {b"k": b"3"}


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0", "ü".encode(), b"x" * 250])
def test_topic_name_that_is_no_file_name_is_refused(name: bytes, tmp_path: Path) -> None:
    assert not valid_topic(name)
    assert StateMachine(tmp_path).apply(entry(commands.create_topic(name, 1))).error


def test_batch_is_checked_before_it_is_proposed() -> None:
    good = records(b"a", b"b")
    assert record_batch.check(good).records == 2
    for data in (
        good[:-1],
        good + b"x",
        good[:70] + bytes([good[70] ^ 1]) + good[71:],
        good[:16] + b"\1" + good[17:],
    ):
        with pytest.raises(ProtocolError):
            record_batch.check(data)


@pytest.mark.parametrize("codec", ["none", "gzip", "zstd"])
def test_snapshot_survives_its_file_and_a_damaged_one_is_refused(tmp_path: Path, codec: str) -> None:
    folder = SnapshotFolder(tmp_path, keep=3, codec=codec)
    snapshots = [
        Snapshot(SnapshotPoint(index, 2, Membership((1, 2), (), (3,))), {"topics": {}, "at": index})
        for index in (10, 20, 30, 40)
    ]
    for one in snapshots:
        folder.save(one)
    assert [path.name[:16] for path in folder.paths()] == [f"{index:016d}" for index in (20, 30, 40)]
    assert folder.newest() == snapshots[-1]
    path = folder.paths()[-1]
    data = path.read_bytes()
    for damaged in (data[:-1], data[: len(data) // 2], data[:20] + b"\xff" + data[21:], b"", b"rubbish" * 9):
        path.write_bytes(damaged)
        with pytest.raises(CorruptError):
            folder.newest()


def test_unpacking_rubbish_is_an_error_and_never_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    for codec in ("gzip", "zstd"):
        with pytest.raises(CorruptError):
            files.unpack(b"rubbish", codec)
        assert files.unpack(files.pack(b"x" * 9999, codec), codec) == b"x" * 9999
