"""Porcupine's logs: its key-value log for get, put and append, Jepsen's log of etcd for read, write and cas."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, Final, TextIO

from outlast.errors import HistoryError
from outlast.history.exports.rows import events_of, function_at, is_ok, value_at
from outlast.history.history import History
from outlast.history.op import NONE, Ops, Outcome

_KV: Final = frozenset({"get", "put", "append"})
_REGISTER: Final = frozenset({"read", "write", "cas"})


def write_porcupine(history: History, stream: TextIO) -> tuple[str, ...]:
    """Write a key-value store's history, or that of one register of integers, as Porcupine reads it.

    What certainly failed is left out, what may have happened stays open, and its process goes on under another number.
    Raises HistoryError for other operations, several registers, and values that the logs cannot hold.
    """
    ops = history.ops
    called = {ops.f_names[code] for code in set(ops.f.tolist())}
    if called <= _KV:
        lines = list(_kv_lines(ops))
    elif called <= _REGISTER:
        lines = list(_register_lines(ops))
    else:
        strange = ", ".join(sorted(called - _KV - _REGISTER) or sorted(called))
        raise HistoryError(
            f"porcupine's logs have no {strange}",
            hint="they know get, put and append of keys, or read, write and cas of one register",
        )
    stream.writelines(lines)
    return ()


def _written_events(ops: Ops) -> Iterator[tuple[int, bool, int]]:
    """Yield (op, whether it is the completion, process) of what is written. Open ops end a process."""
    numbers: dict[int, int] = {}
    free = count(int(ops.process.max(initial=-1)) + 1)
    for index, is_end in events_of(ops):
        process, outcome = int(ops.process[index]), int(ops.outcome[index])
        if outcome == Outcome.FAIL or (outcome != Outcome.OK and is_end):
            continue
        if process not in numbers:
            numbers[process] = process if process >= 0 else next(free)
        yield index, is_end, numbers[process]
        if outcome != Outcome.OK:
            numbers[process] = next(free)


def _kv_lines(ops: Ops) -> Iterator[str]:
    for index, is_end, process in _written_events(ops):
        f, value = function_at(ops, index), value_at(ops, index)
        if f == "get" and value is None and is_ok(ops, index):
            continue  # it was not told what it saw
        key = int(ops.key[index])
        if key == NONE:
            raise HistoryError(f"op {index} names no key, which porcupine's key-value log needs")
        name = ops.key_name(key)
        shown = "nil" if f == "get" and not is_end else f'"{_text(index, value)}"'
        kind = "ok" if is_end else "invoke"
        yield f'{{:process {process}, :type :{kind}, :f :{f}, :key "{_text(index, name)}", :value {shown}}}\n'


def _text(index: int, value: Any) -> str:
    if value is None or isinstance(value, list | dict) or "\n" in str(value) or '"' in str(value):
        raise HistoryError(
            f"op {index} has {str(value)[:40]!r}, and porcupine's key-value log holds plain texts"
        )
    return str(value)


def _register_lines(ops: Ops) -> Iterator[str]:
    if len(set(ops.key.tolist())) > 1:
        raise HistoryError("porcupine's log of etcd is one register's", hint="export one key's history")
    for index, is_end, process in _written_events(ops):
        f, value = function_at(ops, index), value_at(ops, index)
        if f == "read" and value is None:
            continue  # it was not told what it saw
        kind = "ok" if is_end else "invoke"
        if f == "cas":
            missed = isinstance(value, list) and len(value) == 1
            pair = value * 2 if missed else value
            if not isinstance(pair, list) or len(pair) != 2:
                raise HistoryError(f"op {index} is no cas of [expected new]")
            shown = f"[{_integer(index, pair[0])} {_integer(index, pair[1])}]"
            kind = "fail" if missed and is_end else kind
        elif f == "read":
            shown = "nil" if not is_end or value == [None] else _integer(index, value)
        else:
            shown = _integer(index, value)
        yield f"INFO  jepsen.util - {process}\t:{kind}\t:{f}\t{shown}\n"


def _integer(index: int, value: Any) -> str:
    if type(value) is not int or value < 0:
        raise HistoryError(
            f"op {index} has {str(value)[:40]}, and porcupine's log of etcd holds no negative integers and no texts"
        )
    return str(value)
