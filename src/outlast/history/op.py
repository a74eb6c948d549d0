"""Client operations, columnar.

An op is one call of a client: an invocation and, mostly, a completion. ``Ops`` holds n of them as numpy
columns, one row an op, ordered by invocation. Rows, not event pairs, because every checker wants the
interval; the order of events is kept beside the times in ``invoke_pos`` and ``complete_pos``, since foreign
histories order events without trustworthy times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

NEVER: Final = np.iinfo(np.int64).max
"""complete_ns and complete_pos of an op that never completed: it stays open to the end of time."""

NONE: Final = np.iinfo(np.int64).min
"""key or value of an op that has none."""

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
I16 = npt.NDArray[np.int16]
U8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Outcome(IntEnum):
    """How an op ended, as its client saw it."""

    OK = 0
    """Acknowledged."""
    FAIL = 1
    """Certainly did not happen."""
    INFO = 2
    """Unknown: it may have happened, may happen later, or never."""
    LOCAL = 3
    """Committed on the serving node, but the wait for its synchronous standby was cancelled; PostgreSQL
    reports success with a warning. An outcome of its own: neither a plain ack nor a failure."""


@dataclass(frozen=True, slots=True)
class Ops:
    """n client operations as columns of length n, ordered by ``invoke_pos``.

    process: the client that made the op; one op open at a time each. f: index into f_names. key, value:
    integers, or NONE. invoke_ns, complete_ns: monotonic ns (complete NEVER when it did not). invoke_pos,
    complete_pos: place of the event among all events, dense from 0 (complete NEVER likewise). outcome:
    an Outcome. node: index into node_names of the node that answered, −1 unknown. timeline: that node's,
    0 unknown. lsn: 0 unknown. error: index into error_names, −1 none. payload: one structured value an op
    (micro-operations of a transaction, foreign values) as JSON text, or None for the whole column.
    key_names: what the keys stand for when they are codes 0, 1, … of names, None when they are themselves.
    process_names: what processes are called that are no small integers themselves.
    """

    process: I32
    f: I16
    f_names: tuple[str, ...]
    key: I64
    value: I64
    invoke_ns: I64
    complete_ns: I64
    invoke_pos: I64
    complete_pos: I64
    outcome: U8
    node: I16
    node_names: tuple[str, ...]
    timeline: I32
    lsn: I64
    error: I32
    error_names: tuple[str, ...]
    payload: Sequence[str | None] | None = field(default=None, repr=False)
    key_names: tuple[str, ...] | None = field(default=None, repr=False)
    process_names: Mapping[int, str] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.process)

    def f_is(self, name: str) -> Mask:
        """Return the mask of ops whose function is name. O(n)."""
        code = self.f_names.index(name) if name in self.f_names else -1
        return np.equal(self.f, code)

    def outcome_is(self, outcome: Outcome) -> Mask:
        """Return the mask of ops that ended so. O(n)."""
        return np.equal(self.outcome, int(outcome))

    def node_name(self, index: int) -> str | None:
        """Return the name of the node that answered op number index, None when unknown."""
        code = int(self.node[index])
        return None if code < 0 else self.node_names[code]

    def key_name(self, key: int) -> str:
        """Return how a key is written for a person."""
        return str(key) if self.key_names is None else self.key_names[key]

    def process_name(self, index: int) -> str:
        """Return how the process of op number index is written for a person."""
        process = int(self.process[index])
        return (self.process_names or {}).get(process, str(process))

    def error_text(self, index: int) -> str | None:
        """Return the error of op number index, None when it had none."""
        code = int(self.error[index])
        return None if code < 0 else self.error_names[code]


def event_positions(invoke_ns: I64, complete_ns: I64) -> tuple[I64, I64]:
    """Return (invoke_pos, complete_pos) for ops with trustworthy times.

    Events are ordered by time; at equal times an invocation comes before a completion, so that ops that
    touch are concurrent: the weaker claim. Completions at NEVER get NEVER. O(n log n).
    """
    by_invoke = np.argsort(invoke_ns, kind="stable")
    by_complete = np.argsort(complete_ns, kind="stable")
    invokes, completes = invoke_ns[by_invoke], complete_ns[by_complete]
    n = len(invoke_ns)
    rank = np.arange(n, dtype=np.int64)
    invoke_pos, complete_pos = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    invoke_pos[by_invoke] = rank + np.searchsorted(completes, invokes, side="left")
    complete_pos[by_complete] = rank + np.searchsorted(invokes, completes, side="right")
    complete_pos[complete_ns == NEVER] = NEVER
    return invoke_pos, complete_pos
