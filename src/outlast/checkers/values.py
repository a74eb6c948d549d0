"""Values of ops, decoded: what most small checkers begin with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from outlast.checkers.base import Finding, Verdict
from outlast.errors import HistoryError
from outlast.history.op import I64, NONE, Ops, Outcome
from outlast.units import format_lsn


def value_of(ops: Ops, index: int) -> Any:
    """Return the value of op number index: its payload where it has one, else its integer, else None.

    Raises HistoryError when the payload is no JSON.
    """
    text = None if ops.payload is None else ops.payload[index]
    if text is None:
        number = int(ops.value[index])
        return None if number == NONE else number
    try:
        return json.loads(text)
    except ValueError:
        raise HistoryError(f"op {index} has a value that is no JSON: {text[:60]!r}") from None


def acked(ops: Ops, *functions: str) -> I64:
    """Return the numbers of acknowledged ops that call one of these functions, by completion. O(n log n)."""
    chosen = np.flatnonzero(ops.outcome_is(Outcome.OK) & any_of(ops, functions))
    return chosen[np.argsort(ops.complete_pos[chosen], kind="stable")]


def attempted(ops: Ops, *functions: str) -> I64:
    """Return the numbers of ops that call one of these functions and did not certainly fail. O(n)."""
    return np.flatnonzero(~ops.outcome_is(Outcome.FAIL) & any_of(ops, functions))


def any_of(ops: Ops, functions: tuple[str, ...]) -> Any:
    """Return the mask of ops that call one of these functions. O(n)."""
    codes = [code for code, name in enumerate(ops.f_names) if name in functions]
    return np.isin(ops.f, codes)


def list_of(ops: Ops, index: int) -> list[Any]:
    """Return the list that op number index read. Raises HistoryError when it is none."""
    value = value_of(ops, index)
    if value is None:
        return []
    if not isinstance(value, list):
        raise HistoryError(f"op {index} read {str(value)[:60]!r} where a list is due")
    return value


def each_key(ops: Ops, indices: I64) -> Iterator[tuple[int, I64]]:
    """Yield (key, its ops' numbers in the given order). O(n log n)."""
    order = indices[np.argsort(ops.key[indices], kind="stable")]
    for part in np.split(order, np.flatnonzero(np.diff(ops.key[order])) + 1):
        if len(part):
            yield int(ops.key[part[0]]), part


def place_of(ops: Ops, index: int) -> str:
    """Return where op number index was served: ``pg-node-1, timeline 2, LSN 0/3000148``; "" when unknown."""
    node, timeline, lsn = ops.node_name(index), int(ops.timeline[index]), int(ops.lsn[index])
    parts = [node or "", f"timeline {timeline}" if timeline else "", f"LSN {format_lsn(lsn)}" if lsn else ""]
    return ", ".join(part for part in parts if part)


def nothing_to_judge(name: str, ops: Ops) -> Finding | None:
    """Return the finding for a history without client ops: a pass that says so, as Knossos has it."""
    if len(ops):
        return None
    return Finding(name, Verdict.PASS, "no client operations: nothing to judge")
