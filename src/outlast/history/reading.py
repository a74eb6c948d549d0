"""Reads recordings: merges the workers' files into one ``Ops``, after a SIGKILL too and while they grow."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from nanoarrow import c_array_stream
from nanoarrow.c_array import CArray, CArrayView
from nanoarrow.ipc import InputStream

from outlast.errors import HistoryError
from outlast.history import arrow
from outlast.history.op import NEVER, Ops, Outcome, event_positions
from outlast.history.recorder import COLUMNS, ROW_COLUMNS
from outlast.history.tail import NAMES_FILE, OPS_FILE, TAIL_FILE, Half, Rows, Tail, open_tail

_ATTEMPTS_MAX: Final = 50

Column = npt.NDArray[Any]
Tag = tuple[int, str, int, str]
"""How an op ended: outcome, node, timeline, error."""

_OPEN: Final[Tag] = (int(Outcome.INFO), "", 0, "")


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """What one worker has recorded so far. last_ack_ns: 0 before the first ack."""

    worker: str
    ok: int
    fail: int
    info: int
    local: int
    open: int
    last_ack_ns: int


@dataclass(frozen=True, slots=True)
class _Names:
    """The side table of a recording: function names and tags by code. Tag 0 is an op still open."""

    functions: list[str]
    tags: list[Tag]


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows that count. generation: of the half they were copied from. payloads: one a row, or None."""

    generation: int
    rows: Rows
    payloads: list[str | None] | None


@dataclass(frozen=True, slots=True)
class _Recording:
    """What one worker recorded, as columns of equal length by name."""

    names: _Names
    columns: dict[str, Column]
    payloads: list[str | None] | None


def recordings(folder: Path) -> list[Path]:
    """Return the folders of the recordings in folder, by name. Raises HistoryError when it is no folder."""
    if not folder.is_dir():
        raise HistoryError("no such folder of recordings", file=str(folder))
    return sorted(path.parent for path in folder.glob(f"*/{NAMES_FILE}"))


def read_ops(folder: Path) -> Ops:
    """Return all ops recorded in folder, one recording a subfolder, ordered by invocation.

    Ops that were open at the end (or, of a live recording, now) are INFO and complete NEVER. What a killed
    writer left half written never counted and is passed over. O(n log n); a million ops take about 0.2 s.
    Raises HistoryError naming the file that cannot be read.
    """
    recorded = [_read(path) for path in recordings(folder)]
    if not recorded:
        raise HistoryError("holds no recording", file=str(folder))
    return _merge(recorded)


def live_counts(folder: Path) -> tuple[LiveCounts, ...]:
    """Return what each worker in folder has recorded so far, by name, also while they write.

    Looks at the mapped tails only: well below a millisecond a worker, however long the run.
    """
    tails = ((path, open_tail(path / TAIL_FILE)) for path in recordings(folder))
    return tuple(_count(path, tail) for path, tail in tails if tail is not None)


def recent_latencies_ms(folder: Path, since_ns: int) -> npt.NDArray[np.float64]:
    """Return the latencies of acks that completed after since_ns, of all workers, as far as their tails go back.

    A look at a recording that is being written: a row that is half replaced under it may be missing.
    """
    latencies = [np.empty(0, dtype=np.float64)]
    for path in recordings(folder):
        tail = open_tail(path / TAIL_FILE)
        if tail is None:
            continue
        acked = [
            code for code, tag in enumerate(_names(path / NAMES_FILE).tags) if code and tag[0] == Outcome.OK
        ]
        for half in tail.halves:
            rows = half.rows[half.rows["complete_ns"] > since_ns]
            rows = rows[np.isin(rows["tag"], acked)]
            latencies.append((rows["complete_ns"] - rows["invoke_ns"]) / 1e6)
    together = np.concatenate(latencies)
    return together[together >= 0]


def _count(path: Path, tail: Tail) -> LiveCounts:
    for _ in range(_ATTEMPTS_MAX):
        generations = tail.generations()
        sealed = generations[0]
        totals = tail.totals[sealed % 2].copy()
        parts = _parts(tail, sealed)
        if tail.generations() == generations:
            break
    else:
        raise HistoryError("is written faster than it can be read", file=str(path / TAIL_FILE))
    rows = np.concatenate([part.rows for part in parts])
    done = rows[rows["tag"] != 0]
    outcomes = np.array([tag[0] for tag in _names(path / NAMES_FILE).tags])[done["tag"]]
    by_outcome = totals[: len(Outcome)] + np.bincount(outcomes, minlength=len(Outcome))
    last_ack_ns = int(done["complete_ns"][outcomes == Outcome.OK].max(initial=totals[-1]))
    ok, fail, info, local = by_outcome.tolist()
    return LiveCounts(path.name, ok, fail, info, local, len(rows) - len(done), last_ack_ns)


def _parts(tail: Tail, sealed: int) -> list[_Part]:
    """Return copies of what counts in the halves newer than generation sealed, by the rules in ``tail``."""
    older, newest = sorted(tail.halves, key=lambda half: int(half.state[0]))
    parts = [_part(older, with_open=False), _part(newest, with_open=True)]
    return [part for part in parts if part.generation > sealed]


def _part(half: Half, *, with_open: bool) -> _Part:
    free = np.flatnonzero(half.rows["invoke_ns"] == 0)  # rows fill up in order, invoke_ns is stored last
    rows = half.rows[: int(free[0]) if len(free) else len(half.rows)].copy()
    kept = np.arange(len(rows)) if with_open else np.flatnonzero(rows["tag"])
    texts = half.payloads()
    payloads = [_text(texts.get(row)) for row in kept.tolist()] if texts else None
    return _Part(int(half.state[0]), rows[kept], payloads)


def _text(payload: bytes | None) -> str | None:
    return None if payload is None else payload.decode()


def _read(path: Path) -> _Recording:
    tail = open_tail(path / TAIL_FILE)
    if tail is None:  # stopped before it had recorded anything
        return _Recording(_names(path / NAMES_FILE), {name: np.empty(0, np.int64) for name in COLUMNS}, None)
    for _ in range(_ATTEMPTS_MAX):
        generations = tail.generations()
        newest = max(generations[1:])
        parts = _parts(tail, 0)
        if tail.generations() != generations:
            continue
        batches = _batches(path / OPS_FILE)
        if len(batches) < newest:  # else a live writer sealed our copy meanwhile
            break
    else:
        raise HistoryError("is written faster than it can be read", file=str(path / TAIL_FILE))
    if len(batches) < newest - 2:
        raise HistoryError(f"ends after {len(batches)} of {newest - 1} batches", file=str(path / OPS_FILE))
    parts = [part for part in parts if part.generation > len(batches)]
    for part in parts:
        part.rows["client"] += tail.first_process
    views = [arrow.fields(batch) for batch in batches]
    columns = {
        name: np.concatenate(
            [arrow.column_of(view[name]) for view in views] + [part.rows[row_name] for part in parts]
        )
        for name, row_name in zip(COLUMNS, ROW_COLUMNS, strict=True)
    }
    return _Recording(_names(path / NAMES_FILE), columns, _payloads(views, parts))


def _batches(path: Path) -> list[CArray]:
    """Return the whole batches of a stream; one that was cut off is still in the tail."""
    batches: list[CArray] = []
    if not path.exists():
        return batches
    with path.open("rb") as source:
        try:
            stream = c_array_stream(InputStream.from_readable(source))
            while True:
                batches.append(stream.get_next())
        except (StopIteration, RuntimeError):  # nanoarrow's errors are RuntimeErrors
            return batches


def _payloads(views: list[dict[str, CArrayView]], parts: list[_Part]) -> list[str | None] | None:
    columns = [view["payload"] for view in views]
    if all(part.payloads is None for part in parts) and all(arrow.all_null(column) for column in columns):
        return None
    stored = chain.from_iterable(arrow.texts_of(column) for column in columns)
    newer = chain.from_iterable(part.payloads or [None] * len(part.rows) for part in parts)
    return [*stored, *newer]


def _names(path: Path) -> _Names:
    """Read a side table. Its last line may be cut off: then nothing uses it yet."""
    names = _Names([], [_OPEN])
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if not line.endswith("\n"):
            break
        try:
            entry = json.loads(line)
            if "f" in entry:
                names.functions.append(str(entry["f"]))
            else:
                outcome, node, timeline, error = entry["tag"]
                names.tags.append((int(outcome), str(node), int(timeline), str(error)))
        except (ValueError, KeyError, TypeError) as error:
            raise HistoryError(f"is no name of a recording: {error}", file=str(path), line=number) from error
    return names


def _merge(recorded: list[_Recording]) -> Ops:
    """Put recordings together: codes renumbered to common tables, ops ordered by invocation."""
    f_names = _distinct(name for part in recorded for name in part.names.functions)
    tags = [tag for part in recorded for tag in part.names.tags]
    node_names = _distinct(tag[1] for tag in tags)
    error_names = _distinct(tag[3] for tag in tags)
    first_tags = np.cumsum([0] + [len(part.names.tags) for part in recorded[:-1]])

    columns = {name: np.concatenate([part.columns[name] for part in recorded]) for name in COLUMNS}
    tag = np.concatenate(
        [part.columns["tag"] + first for part, first in zip(recorded, first_tags, strict=True)]
    )
    f = np.concatenate([_codes(part.names.functions, f_names)[part.columns["f"]] for part in recorded])
    columns["complete_ns"][columns["tag"] == 0] = NEVER

    order = np.argsort(columns["invoke_ns"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    tag, f = tag[order], f[order]
    invoke_pos, complete_pos = event_positions(columns["invoke_ns"], columns["complete_ns"])
    return Ops(
        process=columns["process"],
        f=f,
        f_names=f_names,
        key=columns["key"],
        value=columns["value"],
        invoke_ns=columns["invoke_ns"],
        complete_ns=columns["complete_ns"],
        invoke_pos=invoke_pos,
        complete_pos=complete_pos,
        outcome=np.array([t[0] for t in tags], dtype=np.uint8)[tag],
        node=_codes([t[1] for t in tags], node_names)[tag],
        node_names=node_names,
        timeline=np.array([t[2] for t in tags], dtype=np.int32)[tag],
        lsn=columns["lsn"],
        error=_codes([t[3] for t in tags], error_names).astype(np.int32)[tag],
        error_names=error_names,
        payload=_merge_payloads(recorded, order),
    )


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that are not empty, each once, in order of appearance."""
    return tuple(dict.fromkeys(name for name in names if name))


def _codes(names: list[str], table: tuple[str, ...]) -> npt.NDArray[np.int16]:
    """Return the place of each name in the table, −1 for the empty one."""
    place = {name: code for code, name in enumerate(table)}
    return np.array([place.get(name, -1) for name in names], dtype=np.int16)


def _merge_payloads(recorded: list[_Recording], order: npt.NDArray[np.int64]) -> list[str | None] | None:
    if all(part.payloads is None for part in recorded):
        return None
    merged = list(
        chain.from_iterable(part.payloads or [None] * len(part.columns["tag"]) for part in recorded)
    )
    return [merged[index] for index in order.tolist()]
