"""What all writers need of ops: their values decoded, their events in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from outlast.history.op import NEVER, NONE, Ops, Outcome

QUESTIONS: Final = frozenset({"read", "get", "dequeue", "drain", "generate", "acquire", "release"})
"""Functions that are invoked with nothing and answered with what they saw."""
READS: Final = frozenset({"r", ":r", "read", ":read"})
WRITES: Final = frozenset({"w", ":w", "write", ":write"})


def value_at(ops: Ops, index: int) -> Any:
    """Return the decoded value of op number index, None when it has none."""
    text = None if ops.payload is None else ops.payload[index]
    if text is not None:
        return json.loads(text)
    number = int(ops.value[index])
    return None if number == NONE else number


def function_at(ops: Ops, index: int) -> str:
    """Return the function of op number index."""
    return ops.f_names[int(ops.f[index])]


def events_of(ops: Ops) -> Iterator[tuple[int, bool]]:
    """Yield each event in order, as (op, whether it is the completion). O(n log n)."""
    positions = np.concatenate([ops.invoke_pos, ops.complete_pos])
    order = np.argsort(positions, kind="stable")
    n = len(ops)
    for place in order[positions[order] != NEVER].tolist():
        yield place % n, place >= n


def is_ok(ops: Ops, index: int) -> bool:
    """Whether op number index was acknowledged."""
    return int(ops.outcome[index]) == int(Outcome.OK)
