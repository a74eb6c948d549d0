"""Histories of simulated stores that are correct: what the checkers are measured on, and must never accuse.

The stores are serial: an op takes effect at one instant between its invocation and its completion.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import numpy.typing as npt

from outlast.history.formats.events import EventPairer
from outlast.history.op import NEVER, NONE, Ops, Outcome
from outlast.history.txn import Txns


def register_history(
    n: int,
    *,
    processes: int = 8,
    values: int = 5,
    seed: int = 1,
    crash_share: float = 0.0,
    stale_at: int | None = None,
) -> Ops:
    """Return n reads and writes of one register, half each, by clients that overlap at random.

    values: how many there are to write. crash_share: share of ops that never complete, half of which take
    effect. stale_at: the first read from this op on returns a value that was never written. O(n).
    """
    rng = random.Random(seed)
    state = NONE
    column = np.full((n, 6), NONE, dtype=np.int64)  # process, f, value, invoke_pos, complete_pos, outcome
    waiting: list[list[int] | None] = [None] * processes
    label = list(range(processes))
    position = begun = 0
    busy = 0
    while begun < n or busy:
        client = rng.randrange(processes)
        op = waiting[client]
        if op is None:
            if begun == n:
                continue
            waiting[client] = [begun, rng.random() < 0.5, rng.randrange(values), False]
            column[begun, 0], column[begun, 3], column[begun, 4] = label[client], position, NEVER
            column[begun, 5] = int(Outcome.INFO)
            begun, position, busy = begun + 1, position + 1, busy + 1
            continue
        index, reads, value, applied = op
        column[index, 1] = 0 if reads else 1
        if not reads:
            column[index, 2] = value
        if not applied:
            op[3] = True
            crashed = rng.random() < crash_share
            if crashed:
                waiting[client], busy = None, busy - 1
                label[client] += processes
                if rng.random() < 0.5:
                    continue
            if reads and not crashed:
                column[index, 2] = state
            elif not reads:
                state = value
            continue
        column[index, 4], column[index, 5] = position, int(Outcome.OK)
        position, busy, waiting[client] = position + 1, busy - 1, None
    if stale_at is not None:
        reads_after = np.flatnonzero((column[stale_at:, 1] == 0) & (column[stale_at:, 5] == int(Outcome.OK)))
        column[stale_at + reads_after[0], 2] = values + 5
    return _ops_from(column, ("read", "write"))


def distinct_history(model: str, n: int, *, processes: int = 100, seed: int = 1) -> Ops:
    """Return n ops of a register or a queue to which each value is written once.

    model: ``register`` or ``queue``; value i is written by op i, half of the ops write. An op takes effect at one
    instant and overlaps with up to processes others. O(n log n), in numpy.
    """
    rng = np.random.default_rng(seed)
    number = np.arange(n, dtype=np.int64)
    puts = rng.random(n) < 0.5
    if model == "register":
        latest = np.maximum.accumulate(np.where(puts, number, -1))
        value = np.where(latest < 0, NONE, latest)
    else:
        depth = np.cumsum(np.where(puts, 1, -1))
        empty = ~puts & (depth < np.minimum.accumulate(np.append(0, depth[:-1])))
        taken = np.cumsum(~puts & ~empty) - 1
        value = np.where(puts, number, np.where(empty, NONE, np.flatnonzero(puts)[np.maximum(taken, 0)]))
    half = (processes - 1) / 2
    times = np.concatenate([number - half * rng.random(n), number + half * rng.random(n)])
    places = np.empty(2 * n, dtype=np.int64)
    places[np.argsort(times)] = np.arange(2 * n)
    order = np.argsort(places[:n])
    column = np.zeros((n, 6), dtype=np.int64)
    column[:, 0], column[:, 1], column[:, 2] = number % processes, puts[order], value[order]
    column[:, 3], column[:, 4] = places[:n][order], places[n:][order]
    return _ops_from(column, ("read", "write") if model == "register" else ("dequeue", "enqueue"))


def _ops_from(column: npt.NDArray[np.int64], f_names: tuple[str, ...]) -> Ops:
    """Return ops from rows of process, f, value, invoke_pos, complete_pos, outcome."""
    n = len(column)
    return Ops(
        process=column[:, 0].astype(np.int32),
        f=column[:, 1].astype(np.int16),
        f_names=f_names,
        key=np.full(n, NONE, dtype=np.int64),
        value=column[:, 2].copy(),
        invoke_ns=column[:, 3].copy(),
        complete_ns=column[:, 4].copy(),
        invoke_pos=column[:, 3].copy(),
        complete_pos=column[:, 4].copy(),
        outcome=column[:, 5].astype(np.uint8),
        node=np.full(n, -1, dtype=np.int16),
        node_names=(),
        timeline=np.zeros(n, dtype=np.int32),
        lsn=np.zeros(n, dtype=np.int64),
        error=np.full(n, -1, dtype=np.int32),
        error_names=(),
    )


def list_append_history(
    n: int, *, processes: int = 16, slots: int = 10, writes_per_key: int = 32, seed: int = 1
) -> Txns:
    """Return n strictly serializable transactions of 1 to 4 micro-operations, half of them appends.

    slots: keys in use at any time. writes_per_key: appends until a key is retired; reads average half as many
    elements. A transaction takes effect at one instant; its client overlaps with up to processes / 2 others. Time and
    memory O(elements).
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, n)
    mop_start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    m = int(mop_start[-1])
    slot = rng.integers(0, slots, m)
    is_write = rng.random(m) < 0.5
    order = np.argsort(slot, kind="stable")
    running = np.cumsum(is_write[order])
    before_slot = np.searchsorted(slot[order], np.arange(slots))
    offset = np.concatenate([[0], running])[before_slot]
    appended = np.empty(m, dtype=np.int64)  # appends to the slot before this micro-operation
    appended[order] = running - is_write[order] - offset[slot[order]]
    generation, version = np.divmod(appended, writes_per_key)
    length = np.where(is_write, 0, version)
    list_start = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    elements = np.arange(int(list_start[-1]), dtype=np.int64) - np.repeat(list_start[:-1], length) + 1
    instant = np.arange(n, dtype=np.float64)
    half = processes / 2 - 1
    times = np.concatenate([instant - half * rng.random(n), instant + half * rng.random(n)])
    positions = np.empty(2 * n, dtype=np.int64)
    positions[np.argsort(times)] = np.arange(2 * n)
    return Txns(
        op=np.arange(n, dtype=np.int64),
        process=(np.arange(n) % processes).astype(np.int32),
        invoke_pos=positions[:n],
        complete_pos=positions[n:],
        outcome=np.full(n, int(Outcome.OK), dtype=np.uint8),
        mop_start=mop_start,
        is_write=is_write,
        key=generation * slots + slot,
        value=np.where(is_write, version + 1, NONE),
        known=np.ones(m, dtype=np.bool_),
        list_start=list_start,
        elements=elements,
    )


def serial_history(
    n: int, *, lists: bool, processes: int = 5, keys: int = 3, seed: int = 1, ok_share: float = 0.85
) -> Ops:
    """Return n transactions of 1 to 4 micro-operations on a serial store, as a run would record them.

    lists: append to lists and read them, or write and read registers. ok_share: share of transactions that
    are acknowledged; of the others half fail and half end unknown, half of those having taken effect.
    """
    rng = random.Random(seed)
    pairer = EventPairer()
    store: dict[int, Any] = {}
    labels = list(range(processes))
    waiting: dict[int, list[list[Any]]] = {}
    served: dict[int, tuple[Outcome, list[list[Any]]]] = {}
    begun = written = 0
    while begun < n or waiting or served:
        slot = rng.randrange(processes)
        if slot in served:
            outcome, result = served.pop(slot)
            pairer.complete(labels[slot], outcome, result, f="txn")
            if outcome is Outcome.INFO:
                labels[slot] += processes
        elif slot in waiting:
            draw = rng.random()
            outcome = Outcome.OK if draw < ok_share else rng.choice((Outcome.FAIL, Outcome.INFO))
            result, after = _apply(store, waiting.pop(slot), lists)
            if outcome is Outcome.OK or (outcome is Outcome.INFO and rng.random() < 0.5):
                store.update(after)
            served[slot] = (outcome, result)
        elif begun < n:
            begun += 1
            mops: list[list[Any]] = []
            for _ in range(rng.randint(1, 4)):
                key = rng.randrange(keys)
                if rng.random() < 0.5:
                    mops.append(["r", key, None])
                else:
                    written += 1
                    mops.append(["append" if lists else "w", key, written])
            waiting[slot] = mops
            pairer.invoke(labels[slot], "txn", None, mops)
    return pairer.ops()


def _apply(
    store: dict[int, Any], mops: list[list[Any]], lists: bool
) -> tuple[list[list[Any]], dict[int, Any]]:
    """Return what a transaction reads and writes when it runs alone, and the keys that it changes."""
    after: dict[int, Any] = {}
    result = []
    for f, key, value in mops:
        current: Any = after.get(key, store.get(key, () if lists else None))
        if f == "r":
            result.append([f, key, list(current) if lists else current])
        else:
            after[key] = (*current, value) if lists else value
            result.append([f, key, value])
    return result, after
