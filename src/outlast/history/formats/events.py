"""Pairs the events of a foreign history into ops.

Foreign histories are lists of events: a process invokes, later the same process completes. Their order in the
file is what counts; their times are kept for people only, since even good histories carry times that go
backwards between processes (Knossos' own multi-register sample does).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import numpy as np

from outlast.errors import HistoryError
from outlast.history.op import I64, NEVER, NONE, Ops, Outcome
from outlast.history.values import freeze

_I64_MAX: Final = int(np.iinfo(np.int64).max)
_PROCESS_MAX: Final = int(np.iinfo(np.int32).max)

NAMELESS: Final = None
"""The process of events that name none; its ops have process −1 and no order of their own."""

_QUESTIONS: Final = frozenset({"read", "get", "dequeue", "drain", "acquire", "release", "generate"})
"""Functions that are invoked without a value of their own, so that a pair there can only be [key nil]."""


def encode_value(value: Any) -> tuple[int, str | None]:
    """Return (value, payload): an integer as itself, nil as (NONE, None), all else as JSON text.

    Keys of maps are text in JSON: those that are no strings are written as JSON, and strings that read as JSON
    in quotes, so that 1 and "1" stay two keys. O(size).
    """
    if value is None:
        return NONE, None
    if type(value) is int and -_I64_MAX < value < _I64_MAX:
        return value, None
    try:
        text = json.dumps(value, default=_plain, separators=(",", ":"))
    except TypeError:
        text = "{"
    if "{" in text:
        text = json.dumps(_with_text_keys(value), default=_plain, separators=(",", ":"))
    return NONE, text


def _plain(value: Any) -> Any:
    return sorted(value, key=repr) if isinstance(value, frozenset | set) else str(value)


def _with_text_keys(value: Any) -> Any:
    """Return value with keys that JSON can write."""
    if isinstance(value, dict):
        return {_text_key(key): _with_text_keys(item) for key, item in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [_with_text_keys(item) for item in (_plain(value) if isinstance(value, frozenset) else value)]
    return value


def _text_key(key: Any) -> str:
    if not isinstance(key, str):
        return json.dumps(key, default=_plain, separators=(",", ":"))
    try:
        json.loads(key)
    except ValueError:
        return key
    return json.dumps(key)


def _is_tuple(f: str, value: Any) -> bool:
    """Whether a value is one of Jepsen's independent tuples [key value], as far as its own look tells."""
    if (
        not isinstance(value, list)
        or len(value) != 2
        or value[0] is None
        or isinstance(value[0], list | dict)
    ):
        return False
    return isinstance(value[1], list) if f in ("cas", "txn") else True


@dataclass(slots=True)
class EventPairer:
    """Collects events one after another; ``ops()`` gives the columns. file: the path for error messages."""

    file: str | None = None
    _open: dict[Any, int] = field(default_factory=dict)
    _processes: dict[Any, None] = field(default_factory=dict)
    _f: dict[str, int] = field(default_factory=dict)
    _errors: dict[str, int] = field(default_factory=dict)
    _rows: list[list[Any]] = field(default_factory=list)
    _independent: bool = True
    """Whether all values may still be independent tuples."""
    _events: int = 0
    _now: int = 0

    def invoke(
        self,
        process: Any,
        f: str,
        key: Any,
        value: Any,
        *,
        time_ns: int | None = None,
        line: int | None = None,
    ) -> None:
        """Add an invocation. Raises HistoryError when the process has an op open already."""
        if process in self._open:
            raise HistoryError(
                f"process {process} invokes :{f} while its op number {self._open[process]} is still open",
                file=self.file,
                line=line,
                hint="a process does one thing at a time: give each client a process of its own",
            )
        self._processes.setdefault(process)
        if self._independent and (key is not None or (f in _QUESTIONS and not _is_tuple(f, value))):
            self._independent = False
        self._open[process] = len(self._rows)
        at = self._clock(time_ns)
        self._rows.append(
            [
                process,
                self._f.setdefault(f, len(self._f)),
                None if key is None else freeze(key),
                value,
                at,
                NEVER,
                self._events,
                NEVER,
                int(Outcome.INFO),
                -1,
                time_ns,
            ]
        )
        self._events += 1

    def complete(
        self,
        process: Any,
        outcome: Outcome,
        value: Any,
        *,
        f: str | None = None,
        time_ns: int | None = None,
        error: str | None = None,
        line: int | None = None,
    ) -> None:
        """Complete the open op of a process. value: what an ok read returned; None keeps the invocation's
        unless the op is ok. Raises HistoryError when there is none, it was another function, or time runs
        backwards within the op."""
        index = self._open.pop(process, None)
        if index is None:
            raise HistoryError(
                f"process {process} completes an op that it never invoked", file=self.file, line=line
            )
        row = self._rows[index]
        if f is not None and self._f.get(f) != row[1]:
            began = next(name for name, code in self._f.items() if code == row[1])
            raise HistoryError(
                f"process {process} invoked :{began} but completes :{f}", file=self.file, line=line
            )
        if time_ns is not None and row[10] is not None and time_ns < row[10]:
            raise HistoryError(
                f"time goes backwards: process {process} completes at {time_ns}, invoked at {row[10]}",
                file=self.file,
                line=line,
            )
        if outcome is Outcome.OK:
            row[3] = value
        row[5], row[7], row[8] = self._clock(time_ns), self._events, int(outcome)
        if error is not None:
            row[9] = self._errors.setdefault(error, len(self._errors))
        self._events += 1

    def is_open(self, process: Any) -> bool:
        """Whether the process has an op open."""
        return process in self._open

    def _clock(self, time_ns: int | None) -> int:
        self._now = max(self._now + 1, time_ns if time_ns is not None else 0)
        return self._now

    def ops(self) -> Ops:
        """Return all ops, ordered by invocation. Ops still open never complete.

        Where every value is one of Jepsen's independent tuples [key value], keys and values are taken apart. O(n).
        """
        n = len(self._rows)
        functions = list(self._f)
        if n and self._independent and all(_is_tuple(functions[row[1]], row[3]) for row in self._rows):
            for row in self._rows:
                row[2], row[3] = freeze(row[3][0]), row[3][1]
        columns: list[Any] = list(zip(*self._rows, strict=True)) if n else [()] * 11
        encoded = [encode_value(value) for value in columns[3]]
        payload = [text for _, text in encoded]
        processes, process_names = self._process_codes()
        key, key_names = _key_codes(columns[2])
        return Ops(
            process=np.array([processes[process] for process in columns[0]], dtype=np.int32),
            f=np.array(columns[1], dtype=np.int16),
            f_names=tuple(functions),
            key=key,
            value=np.array([number for number, _ in encoded], dtype=np.int64),
            invoke_ns=np.array(columns[4], dtype=np.int64),
            complete_ns=np.array(columns[5], dtype=np.int64),
            invoke_pos=np.array(columns[6], dtype=np.int64),
            complete_pos=np.array(columns[7], dtype=np.int64),
            outcome=np.array(columns[8], dtype=np.uint8),
            node=np.full(n, -1, dtype=np.int16),
            node_names=(),
            timeline=np.zeros(n, dtype=np.int32),
            lsn=np.zeros(n, dtype=np.int64),
            error=np.array(columns[9], dtype=np.int32),
            error_names=tuple(self._errors),
            payload=payload if any(text is not None for text in payload) else None,
            key_names=key_names,
            process_names=process_names,
        )

    def _process_codes(self) -> tuple[dict[Any, int], dict[int, str] | None]:
        """Return the number of each process, and the names of those that are no small integers themselves."""
        small = {p for p in self._processes if type(p) is int and 0 <= p <= _PROCESS_MAX}
        codes: dict[Any, int] = {process: process for process in small}
        free = (number for number in count() if number not in small)
        names: dict[int, str] = {}
        for process in self._processes:
            if process is NAMELESS:
                codes[process] = -1
            elif process not in small:
                codes[process] = next(free)
                names[codes[process]] = str(process)
        return codes, names or None


def _key_codes(keys: Sequence[Any]) -> tuple[I64, tuple[str, ...] | None]:
    """Return the column of keys, and their names where they are not all integers themselves."""
    distinct = dict.fromkeys(key for key in keys if key is not None)
    if all(type(key) is int and -_I64_MAX < key < _I64_MAX for key in distinct):
        return np.array([NONE if key is None else key for key in keys], dtype=np.int64), None
    codes = {key: code for code, key in enumerate(distinct)}
    column = np.array([NONE if key is None else codes[key] for key in keys], dtype=np.int64)
    return column, tuple(str(key) for key in distinct)
