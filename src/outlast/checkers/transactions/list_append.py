"""Dependencies between transactions that append to lists and read them.

With the version order of each key known, every dependency follows: a version's append comes after the append
before it (ww), a read after the append of the last element that it saw (wr), and before the append that came
next (rw). An append that was never read comes after all that were. Source: Elle, list_append.clj; VLDB 2021,
section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outlast.checkers.transactions.graph import RW, WR, WW, GraphBuilder
from outlast.checkers.transactions.observed import Reason
from outlast.checkers.transactions.versions import (
    ELSEWHERE,
    INITIAL,
    NOBODY,
    AppendIndex,
    Versions,
    index_appends,
    version_order,
)
from outlast.history.op import I64, Outcome
from outlast.history.txn import Txns


@dataclass(frozen=True, slots=True)
class AppendHistory:
    """A list-append history and all that is known of it. txn_of_mop (m). writer_txn (v): the transaction
    that appended each version, NOBODY when it failed or there is none. again: the micro-operations on keys that
    their transaction touches more than once, by transaction, key and place."""

    txns: Txns
    txn_of_mop: I64
    index: AppendIndex
    versions: Versions
    writer_txn: I64
    again: I64

    @classmethod
    def of(cls, txns: Txns) -> AppendHistory:
        """Return a history with its version order. O(elements + m log m)."""
        txn_of_mop = txns.txn_of_mop()
        index = index_appends(txns)
        versions = version_order(txns, txn_of_mop, index)
        writer = np.where(versions.writer == NOBODY, 0, versions.writer)
        txn = txn_of_mop[writer] if len(txn_of_mop) else writer
        failed = txns.outcome[txn] == int(Outcome.FAIL) if len(txns) else txn < 0
        writer_txn = np.where((versions.writer == NOBODY) | failed, NOBODY, txn)
        code = txn_of_mop * max(txns.key_count, 1) + txns.key
        order = np.argsort(code, kind="stable")  # all but sorted already
        twice = code[order[1:]] == code[order[:-1]]
        again = np.zeros(len(order), dtype=np.bool_)
        again[1:] |= twice
        again[:-1] |= twice
        return cls(txns, txn_of_mop, index, versions, writer_txn, order[again])

    @property
    def unread(self) -> int:
        """How many appends that may have happened nobody read. O(m)."""
        txns = self.txns
        unread = txns.is_write & (self.versions.of_append == NOBODY)
        return int(np.count_nonzero(unread & (txns.outcome[self.txn_of_mop] != int(Outcome.FAIL))))

    def updates(self) -> tuple[I64, I64]:
        """Return (read, append): of each acknowledged transaction and key that it appended to after reading it, the
        last read before its first append. O(m log m)."""
        txns, txn_of_mop = self.txns, self.txn_of_mop
        order = self.again[txns.known[self.again] & (txns.outcome[txn_of_mop[self.again]] == int(Outcome.OK))]
        begins = np.ones(len(order), dtype=np.bool_)
        begins[1:] = (np.diff(txn_of_mop[order]) != 0) | (np.diff(txns.key[order]) != 0)
        writes = np.cumsum(txns.is_write[order])
        before: I64 = (writes - txns.is_write[order])[np.flatnonzero(begins)[np.cumsum(begins) - 1]]
        first = np.flatnonzero(txns.is_write[order] & (writes - before == 1) & ~begins)
        return order[first - 1], order[first]

    def add_dependencies(self, builder: GraphBuilder) -> None:
        """Add all ww, wr and rw edges. O(m log m)."""
        versions, writer = self.versions, self.writer_txn
        adjacent = versions.key[1:] == versions.key[:-1]
        _add(builder, writer[:-1][adjacent], writer[1:][adjacent], WW)
        reads = versions.reads
        seen = versions.of_read[reads]
        reader = self.txn_of_mop[reads]
        told = seen >= 0
        _add(builder, writer[seen[told]], reader[told], WR)
        start, end = versions.start[self.txns.key[reads]], versions.start[self.txns.key[reads] + 1]
        following = np.where(seen == INITIAL, start, seen + 1)
        overwritten = (seen != ELSEWHERE) & (following < end)
        _add(builder, reader[overwritten], writer[following[overwritten]], RW)
        saw_all = (seen != ELSEWHERE) & (following == end)
        self._add_unread(builder, reads[saw_all])

    def _add_unread(self, builder: GraphBuilder, saw_all: I64) -> None:
        """Order the appends that nobody read after the last version of their key, and after who read that."""
        txns, versions = self.txns, self.versions
        appends = np.flatnonzero(txns.is_write & (versions.of_append == NOBODY))
        appends = appends[txns.outcome[self.txn_of_mop[appends]] != int(Outcome.FAIL)]
        if not len(appends):
            return
        key = txns.key[appends]
        last = versions.start[key + 1] - 1
        exists = last >= versions.start[key]
        _add(builder, self.writer_txn[last[exists]], self.txn_of_mop[appends[exists]], WW)
        unread_keys = np.unique(key)
        readers = saw_all[np.isin(txns.key[saw_all], unread_keys)]
        by_key = np.argsort(txns.key[readers], kind="stable")
        readers = readers[by_key]
        order = np.argsort(key, kind="stable")
        appends, key = appends[order], key[order]
        reader_key = txns.key[readers]
        keys, n_readers = np.unique(reader_key, return_counts=True)
        begin = np.searchsorted(key, keys)
        n_appends = np.searchsorted(key, keys, side="right") - begin
        few = n_readers * n_appends <= 4 * (n_readers + n_appends)
        place = np.repeat(np.arange(len(keys)), n_readers)
        count = np.where(few, n_appends, 0)[place]
        within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        target = appends[np.repeat(begin[place], count) + within]
        builder.add(self.txn_of_mop[np.repeat(readers, count)], self.txn_of_mop[target], RW)
        ends = np.cumsum(n_readers)
        for at in np.flatnonzero(~few).tolist():
            src = readers[ends[at] - n_readers[at] : ends[at]]
            dst = appends[begin[at] : begin[at] + n_appends[at]]
            builder.add_all_pairs(self.txn_of_mop[src].tolist(), np.unique(self.txn_of_mop[dst]).tolist(), RW)

    def explain(self, a: int, b: int, kind: int) -> Reason:
        """Return why transaction a comes before b by a dependency of this kind."""
        txns, versions = self.txns, self.versions
        for mop in range(int(txns.mop_start[b]), int(txns.mop_start[b + 1])):
            key, name = int(txns.key[mop]), txns.key_name(int(txns.key[mop]))
            if kind == WR and not txns.is_write[mop]:
                seen = int(versions.of_read[mop])
                if seen >= 0 and self.writer_txn[seen] == a:
                    element = txns.value_name(int(versions.element[seen]))
                    return Reason(
                        f"{{b}} saw {{a}}'s append of {element} to {name}", {"key": name, "value": element}
                    )
            if kind in (WW, RW) and txns.is_write[mop]:
                before = self._before(mop)
                value = txns.value_name(int(txns.value[mop]))
                if kind == WW and before >= 0 and self.writer_txn[before] == a:
                    element = txns.value_name(int(versions.element[before]))
                    return Reason(
                        f"{{b}} appended {value} to {name} after {{a}} appended {element}",
                        {"key": name, "value": element, "next": value},
                    )
                if kind == RW and any(
                    not txns.is_write[read] and txns.key[read] == key and versions.of_read[read] == before
                    for read in range(int(txns.mop_start[a]), int(txns.mop_start[a + 1]))
                ):
                    saw = "nil" if before == INITIAL else txns.value_name(int(versions.element[before]))
                    return Reason(
                        f"{{a}} read {name} without {{b}}'s append of {value}",
                        {"key": name, "value": saw, "next": value},
                    )
        return Reason("{b} depends on {a}", {})

    def _before(self, append: int) -> int:
        """Return the version that an append came after: INITIAL for the first."""
        key = int(self.txns.key[append])
        version = int(self.versions.of_append[append])
        first, end = int(self.versions.start[key]), int(self.versions.start[key + 1])
        previous = (end if version == NOBODY else version) - 1
        return previous if previous >= first else INITIAL


def _add(builder: GraphBuilder, src: I64, dst: I64, kind: int) -> None:
    known = (src != NOBODY) & (dst != NOBODY)
    builder.add(src[known], dst[known], kind)
