"""Pairs the events of a foreign history into ops.

Foreign histories are lists of events: a process invokes, later the same process completes. Their order in the
file is what counts; their times are kept for people only, since even good histories carry times that go
backwards between processes (Knossos' own multi-register sample does).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from outlast.errors import HistoryError
from outlast.history.op import NEVER, NONE, Ops, Outcome

_I64_MAX = int(np.iinfo(np.int64).max)


def encode_value(value: Any) -> tuple[int, str | None]:
    """Return (value, payload): an integer as itself, nil as (NONE, None), all else as JSON text."""
    if value is None:
        return NONE, None
    if type(value) is int and -_I64_MAX < value < _I64_MAX:
        return value, None
    try:
        return NONE, json.dumps(value, default=_plain, separators=(",", ":"))
    except TypeError:
        return NONE, json.dumps(_stringly(value), default=_plain, separators=(",", ":"))


def _plain(value: Any) -> Any:
    return sorted(value, key=repr) if isinstance(value, frozenset | set) else str(value)


def _stringly(value: Any) -> Any:
    """Return value with keys that JSON can write."""
    if isinstance(value, dict):
        return {str(key): _stringly(item) for key, item in value.items()}
    return [_stringly(item) for item in value] if isinstance(value, list | tuple) else value


@dataclass(slots=True)
class EventPairer:
    """Collects events one after another; ``ops()`` gives the columns. file: the path for error messages."""

    file: str | None = None
    _open: dict[Any, int] = field(default_factory=dict)
    _processes: dict[Any, int] = field(default_factory=dict)
    _f: dict[str, int] = field(default_factory=dict)
    _keys: dict[Any, int] = field(default_factory=dict)
    _errors: dict[str, int] = field(default_factory=dict)
    _rows: list[list[Any]] = field(default_factory=list)
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
        code = self._processes.get(process)
        if code is None:
            small = type(process) is int and abs(process) < 2**31
            code = self._processes[process] = process if small else -1 - len(self._processes)
        number, payload = encode_value(value)
        self._open[process] = len(self._rows)
        at = self._clock(time_ns)
        self._rows.append(
            [
                code,
                self._f.setdefault(f, len(self._f)),
                NONE if key is None else self._keys.setdefault(key, len(self._keys)),
                number,
                at,
                NEVER,
                self._events,
                NEVER,
                int(Outcome.INFO),
                -1,
                payload,
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
        if time_ns is not None and row[11] is not None and time_ns < row[11]:
            raise HistoryError(
                f"time goes backwards: process {process} completes at {time_ns}, invoked at {row[11]}",
                file=self.file,
                line=line,
            )
        if outcome is Outcome.OK:
            row[3], row[10] = encode_value(value)
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
        """Return all ops, ordered by invocation. Ops still open never complete. O(n)."""
        n = len(self._rows)
        columns: list[Any] = list(zip(*self._rows, strict=True)) if n else [()] * 12
        payload = columns[10]
        integral = all(type(key) is int for key in self._keys)
        key = np.array(columns[2], dtype=np.int64)
        if integral and self._keys:
            table = np.array(list(self._keys), dtype=np.int64)
            key = np.where(key == NONE, NONE, table[np.where(key == NONE, 0, key)])
        return Ops(
            process=np.array(columns[0], dtype=np.int32),
            f=np.array(columns[1], dtype=np.int16),
            f_names=tuple(self._f),
            key=key,
            value=np.array(columns[3], dtype=np.int64),
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
            payload=list(payload) if any(text is not None for text in payload) else None,
            key_names=None if integral else tuple(str(name) for name in self._keys),
        )
