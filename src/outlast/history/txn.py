"""Transactions, columnar: what the transaction checkers read.

A transaction is a list of micro-operations: ``["append", k, v]``, ``["w", k, v]`` or ``["r", k, result]``,
where the result is a list (list-append) or one value (rw-register). A run carries them as JSON, one text an
op; ``transactions`` turns them into flat arrays, so that a million of them can be judged in seconds.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from outlast.errors import HistoryError
from outlast.gc_pause import pause_gc
from outlast.history.op import I32, I64, NONE, U8, Mask, Ops, Outcome
from outlast.history.values import freeze

_CHUNK_OPS: Final = 20_000
_CHUNK_CHARACTERS: Final = 1 << 20
_READS: Final = frozenset({"r", "read", ":r", ":read"})
_WRITES: Final = frozenset({"append", "w", "write", ":append", ":w", ":write"})
_NO_PLAIN_INTEGERS: Final = ("true", "false", str(NONE))
"""What may stand for values that a column of integers would take for others."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A key of one of several independent objects."""

    owner: str
    key: Hashable

    def __str__(self) -> str:
        return f"{self.key} of {self.owner}"


@dataclass(frozen=True, slots=True)
class Txns:
    """n transactions with m micro-operations, in order of invocation.

    op (n): number of the op in the history. process, invoke_pos, complete_pos, outcome (n): as in Ops.
    mop_start (n + 1): where each transaction's micro-operations begin. is_write (m). key (m): codes 0, 1, ….
    value (m): what was written, or what a register read gave; NONE for nil. known (m): whether a read was
    told its result. list_start (m + 1): where each list read begins in elements (empty for writes).
    key_labels, value_labels: what codes stand for; None where they stand for themselves.
    """

    op: I64
    process: I32
    invoke_pos: I64
    complete_pos: I64
    outcome: U8
    mop_start: I64
    is_write: Mask
    key: I64
    value: I64
    known: Mask
    list_start: I64
    elements: I64
    key_labels: Sequence[Hashable] | None = field(default=None, repr=False)
    value_labels: Sequence[Hashable] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.op)

    @property
    def key_count(self) -> int:
        """How many keys there are: codes are below it."""
        if self.key_labels is not None:
            return len(self.key_labels)
        return int(self.key.max()) + 1 if len(self.key) else 0

    def txn_of_mop(self) -> I64:
        """Return the transaction of each micro-operation, (m). O(m)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.mop_start))

    def key_name(self, key: int) -> str:
        """Return how a key is written."""
        return str(key if self.key_labels is None else self.key_labels[key])

    def value_name(self, value: int) -> str:
        """Return how a value is written."""
        if value == NONE:
            return "nil"
        label = value if self.value_labels is None else self.value_labels[value]
        return "nil" if label is None else str(label)

    def list_of(self, mop: int) -> I64:
        """Return what a list read gave."""
        return self.elements[self.list_start[mop] : self.list_start[mop + 1]]


def transactions(ops: Ops, *, lists: bool, initial: Hashable = None) -> Txns:
    """Return the transactions of a history.

    lists: whether reads give lists (list-append) or one value (rw-register). initial: what registers hold,
    frozen, before they are written; it reads as nil. Ops with a key of their own are transactions of an object
    that this key names: its keys are not those of other objects. Ops without payload are
    transactions without micro-operations. Raises HistoryError, naming the op, for a payload that is no
    transaction. About 1 µs a micro-operation and 30 ns an element.
    """
    with pause_gc():
        return _flatten(ops, _Flat(lists, initial))


def _flatten(ops: Ops, flat: _Flat) -> Txns:
    strange = np.flatnonzero(np.not_equal(ops.value, NONE))
    if len(strange):
        index = int(strange[0])
        raise HistoryError(f"op {index} is no transaction: its value is {int(ops.value[index])}")
    texts = ops.payload if ops.payload is not None else [None] * len(ops)
    for begin, end in _chunks(texts):
        chunk = texts[begin:end]
        together = "[" + ",".join(text or "[]" for text in chunk) + "]"
        if any(text in together for text in _NO_PLAIN_INTEGERS):
            flat.code_values()
        try:
            decoded = json.loads(together)
            if len(decoded) != len(chunk):
                raise ValueError("commas")
        except ValueError:
            decoded = [_one(text, begin + offset) for offset, text in enumerate(chunk)]
        keys = ops.key[begin : begin + len(chunk)]
        owners = [None if key == NONE else ops.key_name(key) for key in keys.tolist()]
        flat.add(decoded, ops.outcome[begin : begin + len(chunk)].tolist(), owners, begin)
    return flat.txns(ops)


def _chunks(texts: Sequence[str | None]) -> Iterator[tuple[int, int]]:
    """Yield (first, end) of texts that are decoded together: some number, and no more than some characters."""
    begin, size = 0, 0
    for place, text in enumerate(texts):
        size += len(text or "")
        if size > _CHUNK_CHARACTERS or place - begin == _CHUNK_OPS:
            if place > begin:
                yield begin, place
            begin, size = place, len(text or "")
    if begin < len(texts):
        yield begin, len(texts)


def _one(text: str | None, number: int) -> Any:
    try:
        return json.loads(text or "[]")
    except ValueError:
        raise HistoryError(f"op {number} is no transaction: {str(text)[:60]!r}") from None


class _Flat:
    """Grows the columns, chunk by chunk. Keys and values that are no integers are coded on the way."""

    def __init__(self, lists: bool, initial: Hashable) -> None:
        self.lists = lists
        self.initial = initial
        self.lengths = array("q")
        self.is_write = bytearray()
        self.known = bytearray()
        self.keys: list[Any] = []
        self.values = array("q")
        self.list_lengths = array("q")
        self.elements = array("q")
        self.key_codes: dict[Hashable, int] = {}
        self.value_codes: dict[Hashable, int] | None = None

    def add(self, decoded: list[Any], outcomes: list[int], owners: list[str | None], begin: int) -> None:
        """Append the micro-operations of some transactions. owners: the object of each, None without one."""
        acked = int(Outcome.OK)
        codes, lists = self.key_codes, self.lists
        for offset, mops in enumerate(decoded):
            try:
                self.lengths.append(len(mops))
                for mop in mops:
                    # A read that was not answered may be written without a result: ["r", k].
                    f, key, value = (*mop, None) if len(mop) == 2 and mop[0] in _READS else mop
                    if f in _WRITES:
                        self.is_write.append(1)
                        self.known.append(1)
                        self._value(value)
                        self.list_lengths.append(0)
                    elif f in _READS:
                        self.is_write.append(0)
                        # nil is the empty state to a read that was answered, and says nothing otherwise.
                        self.known.append(value is not None or outcomes[offset] == acked)
                        if lists:
                            self.values.append(NONE)
                            self._list(value or ())
                        else:
                            self._value(value)
                            self.list_lengths.append(0)
                    else:
                        raise ValueError(f"{f} is neither a read nor a write")
                    label = key if type(key) is str else freeze(key)
                    owner = owners[offset]
                    if owner is not None:
                        label = Owned(owner, label)
                    self.keys.append(codes.setdefault(label, len(codes)))
            except (TypeError, ValueError, KeyError) as error:
                shown = json.dumps(mops)[:80]
                raise HistoryError(f"op {begin + offset} is no transaction: {shown}: {error}") from None

    def _value(self, value: Any) -> None:
        if type(value) is int and self.value_codes is None and abs(value) < -NONE:
            self.values.append(NONE if value == self.initial else value)
        elif (value is None and not self.lists) or (
            self.initial is not None and freeze(value) == self.initial
        ):
            self.values.append(NONE)
        else:
            self.values.append(self._code(value))

    def _list(self, value: Any) -> None:
        if isinstance(value, str | dict):
            raise ValueError("a read gives a list")
        before = len(self.elements)
        if self.value_codes is None:
            try:
                self.elements.extend(value)
            except (TypeError, OverflowError):
                del self.elements[before:]
                self.elements.extend([self._code(item) for item in value])
        else:
            self.elements.extend([self._code(item) for item in value])
        self.list_lengths.append(len(self.elements) - before)

    def _code(self, value: Any) -> int:
        codes = self.code_values()
        return codes.setdefault(freeze(value), len(codes))

    def code_values(self) -> dict[Hashable, int]:
        """Return the codes of values: from the first call on all are coded, those before it too."""
        if self.value_codes is None:
            codes: dict[Hashable, int] = {}
            self.value_codes = codes
            for column in (self.values, self.elements):
                for index, number in enumerate(column):
                    if number != NONE:
                        column[index] = codes.setdefault(number, len(codes))
        return self.value_codes

    def txns(self, ops: Ops) -> Txns:
        """Return the columns as arrays."""
        labels = list(self.key_codes)
        return Txns(
            op=np.arange(len(ops), dtype=np.int64),
            process=ops.process,
            invoke_pos=ops.invoke_pos,
            complete_pos=ops.complete_pos,
            outcome=ops.outcome,
            mop_start=_starts(self.lengths),
            is_write=np.frombuffer(bytes(self.is_write), dtype=np.bool_),
            key=np.array(self.keys, dtype=np.int64),
            value=np.frombuffer(self.values, dtype=np.int64),
            known=np.frombuffer(bytes(self.known), dtype=np.bool_),
            list_start=_starts(self.list_lengths),
            elements=np.frombuffer(self.elements, dtype=np.int64),
            key_labels=labels,
            value_labels=None if self.value_codes is None else list(self.value_codes),
        )


def _starts(lengths: array[int]) -> I64:
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(np.array(lengths, dtype=np.int64), out=starts[1:])
    return starts
