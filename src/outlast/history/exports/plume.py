"""Plume's text: ``r(key,value,session,transaction)`` a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TextIO

from outlast.errors import HistoryError
from outlast.history.exports.rows import READS, WRITES, function_at, value_at
from outlast.history.history import History
from outlast.history.op import NONE, Ops, Outcome

_NO_TIME: Final = "plume's text has no times: what only real time shows is not in it"
_ABORTED: Final = -1

_Mop = tuple[bool, Any, Any]
"""Whether it writes, key, value."""


def write_plume(history: History, stream: TextIO) -> tuple[str, ...]:
    """Write a history of registers in transactions; single reads and writes are transactions of one.

    A transaction of unknown outcome counts as committed where somebody read what it wrote, and is left out otherwise.
    Raises HistoryError for operations that are no reads and writes of registers.
    """
    ops = history.ops
    txns = [(index, list(_mops(ops, index))) for index in range(len(ops))]
    seen = {
        (repr(key), repr(value))
        for index, mops in txns
        if int(ops.outcome[index]) == int(Outcome.OK)
        for is_write, key, value in mops
        if not is_write
    }
    keys, values = _codes(key for _, mops in txns for _, key, _ in mops), _value_codes(txns)
    left_out = 0
    for index, mops in txns:
        outcome = Outcome(int(ops.outcome[index]))
        number = _ABORTED if outcome is Outcome.FAIL else index
        if outcome in (Outcome.INFO, Outcome.LOCAL):
            mops = [mop for mop in mops if mop[0]]
            if not any((repr(key), repr(value)) in seen for _, key, value in mops):
                left_out += bool(mops)
                continue
        for is_write, key, value in mops:
            if is_write or number != _ABORTED:
                f, place = "w" if is_write else "r", f"{int(ops.process[index])},{number}"
                stream.write(f"{f}({keys[repr(key)]},{values[repr(value)]},{place})\n")
    note = f"{left_out} transactions of unknown outcome that nobody read are left out"
    return (_NO_TIME, note) if left_out else (_NO_TIME,)


def _mops(ops: Ops, index: int) -> Iterator[_Mop]:
    f, value, key = function_at(ops, index), value_at(ops, index), int(ops.key[index])
    own = None if key == NONE else ops.key_name(key)
    if f in ("read", "write") and not (isinstance(value, list) and value and isinstance(value[0], list)):
        if f == "write" or value is not None:  # a read of nil says nothing
            yield f == "write", own, None if value == [None] else value
        return
    acked = int(ops.outcome[index]) == int(Outcome.OK)
    for mop in value or ():
        name = mop[0] if isinstance(mop, list) and len(mop) in (2, 3) and isinstance(mop[0], str) else ""
        result = mop[2] if len(mop) == 3 else None
        if name not in READS | WRITES or isinstance(result, list):
            raise HistoryError(
                f"op {index} is no transaction of registers: {str(mop)[:60]}",
                hint="plume's text knows reads and writes of single values alone",
            )
        if name in WRITES or acked:
            yield name in WRITES, mop[1] if own is None else (own, mop[1]), result


def _codes(items: Iterator[Any]) -> dict[str, int]:
    """Return a number for each item, by how it is written: itself where all are no negative integers."""
    distinct = {repr(item): item for item in items}
    if all(type(item) is int and item >= 0 for item in distinct.values()):
        return {text: int(item) for text, item in distinct.items()}
    return {text: number for number, text in enumerate(distinct)}


def _value_codes(txns: list[tuple[int, list[_Mop]]]) -> dict[str, int]:
    """Return a number for each value, 0 for nil, which says that nothing was written yet."""
    distinct = {repr(value): value for _, mops in txns for _, _, value in mops if value is not None}
    plain = all(type(value) is int and value > 0 for value in distinct.values())
    codes = {
        text: int(value) if plain else number for number, (text, value) in enumerate(distinct.items(), 1)
    }
    return codes | {repr(None): 0}
