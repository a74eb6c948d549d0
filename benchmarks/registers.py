"""Makes register histories by running a real register under simulated concurrent clients."""

from __future__ import annotations

import random

import numpy as np

from holdfast.history.op import NEVER, NONE, Ops, Outcome


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
    return ops_from(column, ("read", "write"))


def ops_from(column: np.ndarray[tuple[int, int], np.dtype[np.int64]], f_names: tuple[str, ...]) -> Ops:
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
