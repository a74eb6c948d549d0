"""The log on disk keeps what was acked, cuts what was torn, and refuses what was damaged."""

from __future__ import annotations

import os
import random
from pathlib import Path
from uuid import UUID

import pytest

from raftlog.core.storage import MemoryStorage
from raftlog.core.types import Entry, HardState, LogCompacted, Membership, SnapshotPoint
from raftlog.errors import CorruptError, StorageError
from raftlog.records import BODY_MAX, HEAD
from raftlog.wal.wal import Wal

STORE = UUID(int=7)


def open_wal(folder: Path, **options: object) -> Wal:
    return Wal(folder, store=STORE, node=1, **options)  # type: ignore[arg-type]


def batch(wal: Wal, start: int, count: int, term: int = 1, commit: int = 0, size: int = 20) -> None:
    made = [Entry(term, index, bytes([index % 251]) * size) for index in range(start, start + count)]
    wal.write(wal.stage(made, HardState(term, 1, commit)))


def contents(wal: Wal) -> list[tuple[int, int, bytes]]:
    found: list[tuple[int, int, bytes]] = []
    low = wal.first_index
    while low <= wal.last_index:
        page = wal.entries(low, wal.last_index + 1, 1 << 20)
        found += [(entry.term, entry.index, entry.data) for entry in page]
        low += len(page)
    return found


def newest(folder: Path) -> Path:
    return max(path for path in folder.glob("*.wal"))


def test_everything_written_is_there_after_a_crash(tmp_path: Path) -> None:
    wal = open_wal(tmp_path)
    batch(wal, 1, 10)
    batch(wal, 11, 5, term=2, commit=9)
    before = contents(wal)
    again = open_wal(tmp_path)  # without close(): as after SIGKILL
    assert contents(again) == before
    assert again.hard == HardState(2, 1, 9)
    assert again.term(10) == 1
    assert again.term(11) == 2


def test_conflicting_entries_replace_their_tail_for_good(tmp_path: Path) -> None:
    wal = open_wal(tmp_path)
    batch(wal, 1, 10)
    batch(wal, 6, 2, term=3)
    assert [term for term, _, _ in contents(wal)] == [1] * 5 + [3] * 2
    assert contents(open_wal(tmp_path)) == contents(wal)


@pytest.mark.parametrize("seed", range(40))
def test_torn_tail_is_cut_and_whole_batches_stay(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    wal = open_wal(tmp_path)
    batch(wal, 1, 8, commit=3)
    acked = contents(wal)
    path = newest(tmp_path)
    synced = wal._offset
    batch(wal, 9, 6, term=2, commit=12, size=rng.randrange(1, 2000))
    data = bytearray(path.read_bytes())
    written = wal._offset
    for at in range(synced, written, 512):  # what a power cut may leave of pages that were not synced
        match rng.randrange(3):
            case 0:
                data[at : min(at + 512, written)] = bytes(min(512, written - at))
            case 1:
                data[at : min(at + 512, written)] = rng.randbytes(min(512, written - at))
    data[written - 1] ^= 0xFF
    path.write_bytes(data)
    again = open_wal(tmp_path)
    assert contents(again) == acked
    assert again.hard == HardState(1, 1, 3)
    batch(again, 9, 2, term=3)
    assert len(contents(open_wal(tmp_path))) == 10


def test_damage_in_the_middle_is_refused_with_its_place(tmp_path: Path) -> None:
    wal = open_wal(tmp_path)
    batch(wal, 1, 4)
    place = wal._offset - 40
    batch(wal, 5, 4)
    path = newest(tmp_path)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptError, match=r"0001\.wal: damaged at byte \d+, but batch 2 after it is intact"):
        open_wal(tmp_path)


def test_damage_in_an_older_segment_is_refused(tmp_path: Path) -> None:
    wal = open_wal(tmp_path)
    batch(wal, 1, 4)
    first = newest(tmp_path)
    place = wal._offset - 5
    open_wal(tmp_path)
    data = bytearray(first.read_bytes())
    data[place] ^= 1
    first.write_bytes(data)
    with pytest.raises(CorruptError, match="a later segment exists"):
        open_wal(tmp_path)


def test_log_that_lost_committed_entries_is_refused(tmp_path: Path) -> None:
    wal = open_wal(tmp_path)
    batch(wal, 1, 4, commit=0)
    batch(wal, 5, 4, commit=8)
    wal.close()
    newest(tmp_path).unlink()
    fresh = open_wal(tmp_path)
    fresh.write(fresh.stage([], HardState(1, 1, 8)))
    with pytest.raises(CorruptError, match="committed"):
        open_wal(tmp_path)


def test_missing_segment_is_refused(tmp_path: Path) -> None:
    for start in (1, 5, 9):
        batch(open_wal(tmp_path), start, 4)
    sorted(tmp_path.glob("*.wal"))[1].unlink()
    with pytest.raises(CorruptError, match="missing"):
        open_wal(tmp_path)


def test_log_of_another_store_or_node_is_refused(tmp_path: Path) -> None:
    batch(open_wal(tmp_path), 1, 1)
    with pytest.raises(CorruptError, match="belongs to node 1"):
        Wal(tmp_path, store=STORE, node=2)
    with pytest.raises(CorruptError, match="belongs to node 1"):
        Wal(tmp_path, store=UUID(int=8), node=1)


def test_absurd_length_is_damage_and_not_an_allocation(tmp_path: Path) -> None:
    wal = open_wal(tmp_path)
    batch(wal, 1, 2)
    path = newest(tmp_path)
    data = bytearray(path.read_bytes())
    data[wal._offset : wal._offset + HEAD.size] = HEAD.pack(1, BODY_MAX + 1, 3)
    path.write_bytes(data)
    assert len(contents(open_wal(tmp_path))) == 2


def test_old_entries_are_read_back_from_disk(tmp_path: Path) -> None:
    wal = open_wal(tmp_path, cache_bytes=2000, segment_bytes=5000)
    for start in range(1, 400, 4):
        batch(wal, start, 4, size=50)
    assert len(wal._cache) < 100
    assert [index for _, index, _ in contents(wal)] == list(range(1, 401))
    assert len(wal.entries(1, 300, 120)) == 2
    assert len(list(tmp_path.glob("*.wal"))) > 3


def test_log_behaves_as_the_model_does(tmp_path: Path) -> None:
    rng = random.Random(5)
    wal, model = open_wal(tmp_path, cache_bytes=600, segment_bytes=3000), MemoryStorage()
    term = 1
    for _ in range(300):
        low = max(model.first_index, model.last_index + 1 - rng.randrange(6))
        term += rng.random() < 0.2
        made = [Entry(term, index, rng.randbytes(20)) for index in range(low, low + rng.randrange(1, 8))]
        wal.write(wal.stage(made, HardState(term, 0, 0)))
        model.append(made)
        if rng.random() < 0.1 and model.last_index > model.first_index:
            index = rng.randrange(model.first_index, model.last_index)
            wal.point = SnapshotPoint(index, model.term(index), Membership())
            model.compact(wal.point)
            wal.compact(index)
        if rng.random() < 0.05:
            wal = open_wal(tmp_path, point=wal.point, cache_bytes=600, segment_bytes=3000)
        assert (wal.first_index, wal.last_index) == (model.first_index, model.last_index)
        for index in range(model.first_index - 1, model.last_index + 1):
            assert wal.term(index) == model.term(index)
        expected = model.entries(model.first_index, model.last_index + 1, 1 << 30)
        assert contents(wal) == [(entry.term, entry.index, entry.data) for entry in expected]


def test_compaction_gives_the_disk_back(tmp_path: Path) -> None:
    wal = open_wal(tmp_path)
    for start in range(1, 20_000, 1000):
        batch(wal, start, 1000, size=300)
    before = wal.bytes_on_disk
    wal.point = SnapshotPoint(20_000, 1, Membership(voters=(1,)))
    freed = wal.compact(20_000)
    assert freed > 0.95 * before
    assert wal.bytes_on_disk < 0.05 * before
    with pytest.raises(LogCompacted):
        wal.term(19_999)
    again = open_wal(tmp_path, point=wal.point)
    assert (again.first_index, again.last_index, again.term(20_000)) == (20_001, 20_000, 1)


def test_received_snapshot_replaces_a_log_that_disagrees(tmp_path: Path) -> None:
    wal = open_wal(tmp_path)
    batch(wal, 1, 9)
    point = SnapshotPoint(5, 4, Membership(voters=(1, 2, 3)))
    wal.install(point)
    batch(wal, 6, 2, term=4, commit=6)
    again = open_wal(tmp_path, point=point)
    assert [(term, index) for term, index, _ in contents(again)] == [(4, 6), (4, 7)]


def test_crash_between_snapshot_and_reset_drops_the_stale_log(tmp_path: Path) -> None:
    batch(open_wal(tmp_path), 1, 9)
    point = SnapshotPoint(5, 4, Membership(voters=(1, 2, 3)))
    again = open_wal(tmp_path, point=point)
    assert (again.first_index, again.last_index) == (6, 5)
    assert again.initial()[0].commit == 5


def test_log_without_its_snapshot_is_refused(tmp_path: Path) -> None:
    wal = open_wal(tmp_path)
    batch(wal, 1, 9)
    wal.point = SnapshotPoint(9, 1, Membership())
    wal.compact(9)
    batch(wal, 10, 1)
    with pytest.raises(CorruptError, match="starts after 9, but the newest snapshot ends at 0"):
        open_wal(tmp_path)


def test_full_disk_is_said_to_be_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wal = open_wal(tmp_path)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        batch(wal, 1, 1)
    assert caught.value.hint is not None
    assert "full" in caught.value.hint
