"""The order in which a list's elements were appended, recovered from reads.

A list read tells its whole past, so the longest read of each key is its version order, and every other read
should be a prefix of it. Source: Kingsbury and Alvaro, "Elle" (VLDB 2021), section 3 (traceability,
recoverability).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outlast.history.op import I64, Mask, Outcome
from outlast.history.txn import Txns

_CHUNK_ELEMENTS = 1 << 20
NOBODY = -1
"""Writer of an element that nobody appended; version of an append that nobody read."""
INITIAL = -1
"""Version of a read of the empty list."""
ELSEWHERE = -2
"""Version of a read whose last element is not in the version order."""


@dataclass(frozen=True, slots=True)
class AppendIndex:
    """Finds the append of (key, element): appends (a) sorted by code, their micro-operations beside.

    duplicates: appends whose key and element an earlier append had already. ranks: all elements, ascending,
    where they are too far apart to be codes themselves: then their places stand for them.
    """

    appends: I64
    codes: I64
    lowest: int
    span: int
    duplicates: I64
    ranks: I64 | None = None

    def find(self, key: I64, element: I64) -> I64:
        """Return the micro-operation that appended each (key, element), NOBODY where none did. O(q log a)."""
        if not len(self.codes):
            return np.full(len(key), NOBODY, dtype=np.int64)
        if self.ranks is not None:
            rank = np.minimum(np.searchsorted(self.ranks, element), len(self.ranks) - 1)
            element = np.where(self.ranks[rank] == element, rank, -1)
        inside = (element >= self.lowest) & (element < self.lowest + self.span)
        code = np.where(inside, key * self.span + (element - self.lowest), -1)
        place = np.minimum(np.searchsorted(self.codes, code), len(self.codes) - 1)
        return np.where(self.codes[place] == code, self.appends[place], NOBODY)


def index_appends(txns: Txns) -> AppendIndex:
    """Return the index of all appends, failed ones too. O(a log a)."""
    appends = np.flatnonzero(txns.is_write)
    if not len(appends):
        none = np.zeros(0, dtype=np.int64)
        return AppendIndex(none, none, 0, 1, none)
    values = txns.value[appends]
    ranks = None
    if (int(values.max()) - int(values.min()) + 1) * (txns.key_count + 1) >= 1 << 62:
        ranks, values = np.unique(values, return_inverse=True)
    lowest = int(values.min())
    span = int(values.max()) - lowest + 1
    codes = txns.key[appends] * span + (values - lowest)
    order = np.argsort(codes, kind="stable")
    codes, appends = codes[order], appends[order]
    repeated = np.flatnonzero(codes[1:] == codes[:-1]) + 1
    return AppendIndex(appends, codes, lowest, span, appends[repeated], ranks)


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of all keys, v in all, each key's in a row and without repetitions.

    key, element, writer (v): writer is the append's micro-operation or NOBODY. start (keys + 1): where each
    key's begin. of_append (m): the version that a micro-operation appended, NOBODY for none.
    of_read (m): the version that a read saw last: INITIAL, ELSEWHERE or a number.
    reads: the micro-operations that are told reads of transactions that did not fail. is_prefix (of reads):
    whether it is a prefix of its key's order. first_repeat (keys): how long a prefix must be to hold an
    element twice. longest (keys): the read that gave the order, −1 where none did.
    """

    key: I64
    element: I64
    writer: I64
    start: I64
    of_append: I64
    of_read: I64
    reads: I64
    is_prefix: Mask
    first_repeat: I64
    longest: I64


def version_order(txns: Txns, txn_of_mop: I64, index: AppendIndex) -> Versions:
    """Return the versions. O(elements + m log m), memory O(m) beside the reads."""
    keys = txns.key_count
    failed = txns.outcome[txn_of_mop] == int(Outcome.FAIL)
    reads = np.flatnonzero(~txns.is_write & txns.known & ~failed)
    read_key = txns.key[reads]
    length = txns.list_start[reads + 1] - txns.list_start[reads]
    longest_length = np.zeros(keys, dtype=np.int64)
    np.maximum.at(longest_length, read_key, length)
    longest = np.full(keys, -1, dtype=np.int64)
    is_longest = (length == longest_length[read_key]) & (length > 0)
    longest[read_key[is_longest]] = reads[is_longest]

    raw_start = np.zeros(keys + 1, dtype=np.int64)
    np.cumsum(longest_length, out=raw_start[1:])
    total = int(raw_start[-1])
    raw_key = np.repeat(np.arange(keys), longest_length)
    offset = np.arange(total) - raw_start[raw_key]
    raw_element = (
        txns.elements[txns.list_start[longest[raw_key]] + offset] if total else np.zeros(0, np.int64)
    )
    raw_writer = index.find(raw_key, raw_element)

    repeats = _repeats(raw_key, raw_element)
    first_repeat = np.full(keys, np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(first_repeat, raw_key[repeats], offset[repeats] + 1)
    kept = np.ones(total, dtype=np.bool_)
    kept[repeats] = False
    number = np.cumsum(kept) - 1
    start = np.concatenate([[0], np.cumsum(np.bincount(raw_key[kept], minlength=keys))]).astype(np.int64)

    key, element, writer = raw_key[kept], raw_element[kept], raw_writer[kept]
    of_append = np.full(len(txns.key), NOBODY, dtype=np.int64)
    has_writer = np.flatnonzero(writer != NOBODY)
    of_append[writer[has_writer]] = has_writer

    is_prefix = _prefixes(txns, reads, length, raw_start, raw_element, longest_length)
    of_read = np.full(len(txns.key), ELSEWHERE, dtype=np.int64)
    of_read[reads] = np.where(length > 0, raw_start[read_key] + length - 1, INITIAL)
    if total:
        simple = is_prefix & (length > 0)
        of_read[reads[simple]] = number[of_read[reads[simple]]]
    unusual = reads[(~is_prefix | (length >= first_repeat[read_key])) & (length > 0)]
    if len(unusual):
        last = txns.elements[txns.list_start[unusual + 1] - 1]
        wrote = index.find(txns.key[unusual], last)
        of_read[unusual] = np.where(wrote == NOBODY, ELSEWHERE, of_append[wrote])
        of_read[unusual[of_read[unusual] == NOBODY]] = ELSEWHERE
    return Versions(key, element, writer, start, of_append, of_read, reads, is_prefix, first_repeat, longest)


def _repeats(key: I64, element: I64) -> I64:
    """Return the places whose (key, element) came before."""
    order = np.lexsort((np.arange(len(key)), element, key))
    same = (key[order[1:]] == key[order[:-1]]) & (element[order[1:]] == element[order[:-1]])
    repeats: I64 = order[1:][same]
    return repeats


def _prefixes(
    txns: Txns, reads: I64, length: I64, raw_start: I64, raw_element: I64, longest_length: I64
) -> Mask:
    """Return which reads are prefixes of their key's longest read, comparing a chunk at a time."""
    good = np.ones(len(reads), dtype=np.bool_)
    begins = txns.list_start[reads]
    expected_at = raw_start[txns.key[reads]]
    cumulative = np.cumsum(length)
    cuts = np.searchsorted(
        cumulative, np.arange(0, int(cumulative[-1]) if len(reads) else 0, _CHUNK_ELEMENTS)
    )
    bounds = np.unique(np.concatenate([[0], cuts, [len(reads)]]))
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        sizes = length[low:high]
        total = int(sizes.sum())
        if total == 0:
            continue
        ends = np.cumsum(sizes)
        place = np.arange(total, dtype=np.int64)
        shift = np.repeat(expected_at[low:high] - (ends - sizes), sizes)
        seen = txns.elements[np.repeat(begins[low:high] - (ends - sizes), sizes) + place]
        wrong = seen != raw_element[shift + place]
        if wrong.any():
            hits = np.searchsorted(ends, np.flatnonzero(wrong), side="right")
            good[low + np.unique(hits)] = False
    return good
