"""Makes list-append histories, columnar, by running a serial store under overlapping clients."""

from __future__ import annotations

import numpy as np

from holdfast.history.op import NONE, Outcome
from holdfast.history.txn import Txns


def list_append_history(
    n: int, *, processes: int = 16, slots: int = 10, writes_per_key: int = 32, seed: int = 1
) -> Txns:
    """Return n strictly serializable transactions of 1 to 4 micro-operations, half of them appends.

    slots: keys in use at any time. writes_per_key: appends until a key is retired; reads average half as many
    elements. A transaction takes effect at one instant; its client overlaps with up to processes / 2 others.
    O(elements).
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
    by_invocation = np.argsort(positions[:n])
    if not (by_invocation == np.arange(n)).all():
        # Transactions are kept in the order of effect; any order will do to the checker.
        pass
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
