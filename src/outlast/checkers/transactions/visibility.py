"""Levels that say what a transaction must see: read-atomic, causal, pram.

Whoever reads a key of one transaction, and by what it sees has seen another that wrote the key too, puts the other
first. What follows so, with who read whom and the known order of versions, must have no cycle; then any order of
transactions that keeps it will do. They differ in what counts as seen:

    read-atomic  the transactions that it read from, and the earlier ones of its own process
    causal       all that these have seen, and so on
    pram         what one process saw, and all that each process had done before; by process, and each may see
                 writes in an order of its own

Sources: Biswas and Enea, "On the Complexity of Checking Transactional Consistency" (OOPSLA 2019); Møldrup and
Pavlogiannis, "AWDIT: An Optimal Weak Database Isolation Tester" (PLDI 2025), for one look per session; Lipton and
Sandberg, "PRAM" (1988), and Wei et al. (IEEE TPDS 2016) for its saturation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.transactions.graph import components, process_order
from outlast.checkers.transactions.list_append import AppendHistory
from outlast.checkers.transactions.no_order import OpenOrder
from outlast.checkers.transactions.observed import CASES_SHOWN, case, show
from outlast.checkers.transactions.version_search import INITIAL
from outlast.checkers.transactions.versions import NOBODY
from outlast.clock import now_ns
from outlast.history.op import I32, I64, Outcome
from outlast.history.txn import Txns

_CELLS: Final = 1 << 22
"""Pairs of a read and a session that are looked at together."""
_CLOCKS_MAX: Final = 1 << 29
"""Transactions times sessions that clocks may have: 2 GiB."""


@dataclass(frozen=True, slots=True)
class _Reads:
    """Reads (r): who, which key, and who wrote what was seen; the number of transactions stands for nobody yet."""

    reader: I64
    key: I64
    writer: I64

    def of(self, chosen: I64) -> _Reads:
        return _Reads(self.reader[chosen], self.key[chosen], self.writer[chosen])


@dataclass(frozen=True, slots=True)
class _Conclusion:
    """Pairs (e): first comes before then, because of this read."""

    first: I64
    then: I64
    read: I64


class _Sessions:
    """Transactions (n) by session, and who wrote which key, by session.

    session, place (n): one that was not acknowledged is a session of its own, since nothing comes after it.
    """

    def __init__(self, history: OpenOrder) -> None:
        txns = history.txns
        n = len(txns)
        acked = (txns.outcome == int(Outcome.OK)) & (txns.process >= 0)
        label = np.where(acked, txns.process.astype(np.int64), -1 - np.arange(n))
        happened = acked.copy()
        happened[list(history.seen)] = True
        members = np.flatnonzero(happened)
        members = members[np.lexsort((txns.invoke_pos[members], label[members]))]
        names, first, session = np.unique(label[members], return_index=True, return_inverse=True)
        self.count = len(names)
        self.members = members
        self.session = np.full(n + 1, -1, dtype=np.int64)
        self.place = np.full(n + 1, -1, dtype=np.int64)
        self.session[members] = session
        self.place[members] = np.arange(len(members)) - first[session]
        self.order = _pairs(*process_order(txns), happened)
        self._index_writers(history, happened)

    def _index_writers(
        self, history: OpenOrder, happened: np.ndarray[tuple[int], np.dtype[np.bool_]]
    ) -> None:
        key = np.array([key for key, each in history.writers.items() for _ in each], dtype=np.int64)
        txn = np.array([txn for each in history.writers.values() for txn in each], dtype=np.int64)
        key, txn = key[happened[txn]], txn[happened[txn]]
        order = np.lexsort((self.place[txn], self.session[txn], key))
        key, self.writer = key[order], txn[order]
        pair, self.first_of_pair, of_pair = np.unique(
            key * self.count + self.session[self.writer], return_index=True, return_inverse=True
        )
        self.pair = pair
        self.pair_key, self.pair_session = pair // max(self.count, 1), pair % max(self.count, 1)
        self.span = int(self.place.max(initial=0)) + 2
        self.codes = of_pair * self.span + self.place[self.writer]

    def latest(self, pair: I64, bound: I64) -> I64:
        """Return the last writer of each pair of key and session up to a place in the session, NOBODY for none."""
        at = np.searchsorted(self.codes, pair * self.span + bound, side="right") - 1
        found = at >= self.first_of_pair[pair]
        return np.where(found, self.writer[np.maximum(at, 0)], NOBODY)

    def pairs_of(self, key: I64, session: I64) -> tuple[I64, I64]:
        """Return (which of these, its pair) for those sessions that wrote the key."""
        wanted = key * self.count + session
        at = np.minimum(np.searchsorted(self.pair, wanted), len(self.pair) - 1)
        which = np.flatnonzero(self.pair[at] == wanted) if len(self.pair) else np.zeros(0, dtype=np.int64)
        return which, at[which]

    def clocks(self, edges: tuple[I64, I64]) -> I32 | None:
        """Return, by transaction and session, the last place that comes before it; None when edges have a cycle.

        Edges include the sessions' order. O(edges · sessions).
        """
        nodes = len(self.session)
        before: list[list[int]] = [[] for _ in range(nodes)]
        after: list[list[int]] = [[] for _ in range(nodes)]
        for first, then in zip(edges[0].tolist(), edges[1].tolist(), strict=True):
            before[then].append(first)
            after[first].append(then)
        clocks = np.full((nodes, self.count), -1, dtype=np.int32)
        session, place = self.session.tolist(), self.place.tolist()
        missing = [len(each) for each in before]
        ready = [node for node in range(nodes) if not missing[node]]
        done = 0
        while ready:
            node = ready.pop()
            done += 1
            row = clocks[node]
            for earlier in before[node]:
                np.maximum(row, clocks[earlier], out=row)
                if session[earlier] >= 0 and row[session[earlier]] < place[earlier]:
                    row[session[earlier]] = place[earlier]
            for later in after[node]:
                missing[later] -= 1
                if not missing[later]:
                    ready.append(later)
        return clocks if done == nodes else None


def _pairs(first: I64, then: I64, happened: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[I64, I64]:
    keep = happened[first] & happened[then]
    return first[keep], then[keep]


def check_visibility(
    finding: Finding, order: OpenOrder, lists: AppendHistory | None, level: str, deadline: int
) -> Finding:
    """Return the finding, or what a level of BY_SIGHT finds besides.

    finding: what showed so far, a pass. lists: the history, where it appends to lists. deadline: monotonic ns.
    O(reads · sessions); for pram that by process.
    """
    txns, nobody = order.txns, len(order.txns)
    sessions = _Sessions(order)
    if level in ("causal", "pram") and len(sessions.session) * sessions.count > _CLOCKS_MAX:
        said = f"{len(txns)} transactions of {sessions.count} processes are too many to say who saw whom"
        return replace(finding, verdict=Verdict.UNKNOWN, summary=said)
    if level == "pram":
        return _pram(finding, order, sessions, lists, deadline)
    columns = np.array(order.reads, dtype=np.int64).reshape(-1, 3)
    reads = _Reads(columns[:, 0], columns[:, 1], np.where(columns[:, 2] == INITIAL, nobody, columns[:, 2]))
    known = [_begin(sessions, nobody), *_edges(order.chain)]
    drawn = [_read_from(sessions, reads)]
    if found := _circles(txns, reads, known, drawn, "fractured-read"):
        return _told(finding, level, "fractured-read", found)
    known.append(sessions.order)
    anomaly = "fractured-read-process"
    if level == "read-atomic":
        drawn.append(_own_session(sessions, reads))
    else:
        anomaly = "no-causal-order"
        seen = (reads.writer < nobody) & (reads.writer != reads.reader)
        clocks = sessions.clocks(_joined([sessions.order, (reads.writer[seen], reads.reader[seen])]))
        if clocks is not None:  # who saw each other in a circle are a circle of what is known already
            drawn += _seen(sessions, reads, clocks)
    return _told(finding, level, anomaly, _circles(txns, reads, known, drawn, anomaly))


def _told(finding: Finding, level: str, anomaly: str, found: list[Evidence]) -> Finding:
    if not found:
        return finding
    return replace(
        finding,
        verdict=Verdict.FAIL,
        summary=f"not {level}: {found[0].message}",
        anomalies={anomaly: len(found), **finding.anomalies},
        evidence=(*found[:CASES_SHOWN], *finding.evidence),
    )


def _begin(sessions: _Sessions, nobody: int) -> tuple[I64, I64]:
    """Return that all came after nobody had written anything."""
    return np.full(len(sessions.members), nobody), sessions.members


def _edges(chain: list[tuple[int, int]]) -> list[tuple[I64, I64]]:
    pairs = np.array(chain, dtype=np.int64).reshape(-1, 2)
    return [(pairs[:, 0], pairs[:, 1])]


def _joined(edges: list[tuple[I64, I64]]) -> tuple[I64, I64]:
    return np.concatenate([first for first, _ in edges]), np.concatenate([then for _, then in edges])


def _read_from(sessions: _Sessions, reads: _Reads) -> _Conclusion:
    """Conclude from the transactions that a reader read anything from. O(Σ reads² by transaction)."""
    order = np.argsort(reads.reader, kind="stable")
    reader = reads.reader[order]
    low, high = np.searchsorted(reader, reader), np.searchsorted(reader, reader, side="right")
    count = high - low
    one = np.repeat(order, count)
    other = order[
        np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
    ]
    other_writer = reads.writer[other]
    keep = (other_writer < len(sessions.session) - 1) & (other_writer != reads.writer[one])
    one, other_writer = one[keep], other_writer[keep]
    which, pair = sessions.pairs_of(reads.key[one], sessions.session[other_writer])
    wrote = sessions.latest(pair, sessions.place[other_writer[which]]) == other_writer[which]
    return _conclude(reads, one[which[wrote]], other_writer[which[wrote]])


def _own_session(sessions: _Sessions, reads: _Reads) -> _Conclusion:
    """Conclude from what the reader's process had written before."""
    which, pair = sessions.pairs_of(reads.key, sessions.session[reads.reader])
    return _conclude(reads, which, sessions.latest(pair, sessions.place[reads.reader[which]] - 1))


def _seen(sessions: _Sessions, reads: _Reads, clocks: I32) -> Iterator[_Conclusion]:
    """Conclude from all that came before the reader: of each session the last who wrote the key."""
    low = np.searchsorted(sessions.pair_key, reads.key)
    count = np.searchsorted(sessions.pair_key, reads.key, side="right") - low
    total = np.cumsum(count)
    cuts = np.searchsorted(total, np.arange(0, int(total[-1]) if len(total) else 0, _CELLS))
    bounds = np.unique(np.concatenate([[0], cuts, [len(count)]])).tolist()
    for begin, end in pairwise(bounds):
        here = count[begin:end]
        read = np.repeat(np.arange(begin, end), here)
        within = np.arange(len(read)) - np.repeat(np.cumsum(here) - here, here)
        pair = low[read] + within
        bound = clocks[reads.reader[read], sessions.pair_session[pair]].astype(np.int64)
        yield _conclude(reads, read, sessions.latest(pair, bound))


def _conclude(reads: _Reads, read: I64, other: I64) -> _Conclusion:
    keep = (other != NOBODY) & (other != reads.writer[read]) & (other != reads.reader[read])
    return _Conclusion(other[keep], reads.writer[read[keep]], read[keep])


def _circles(
    txns: Txns,
    reads: _Reads,
    known: list[tuple[I64, I64]],
    drawn: list[_Conclusion],
    anomaly: str,
) -> list[Evidence]:
    """Return a case for each circle of what is known and what was concluded."""
    nobody = len(txns)
    first, then = _joined([*known, *((each.first, each.then) for each in drawn)])
    labels = components(nobody + 1, first.astype(np.int32), then.astype(np.int32))
    cyclic = np.flatnonzero(np.bincount(labels) > 1)
    cases: dict[int, Evidence] = {}
    for each in drawn:
        inside = np.flatnonzero(
            (labels[each.first] == labels[each.then]) & np.isin(labels[each.first], cyclic)
        )
        for at in inside.tolist():
            circle = int(labels[each.first[at]])
            if circle not in cases:
                cases[circle] = _explain(txns, reads, int(each.read[at]), int(each.first[at]), anomaly)
    for circle in set(cyclic.tolist()) - cases.keys():
        members = np.flatnonzero(labels[:nobody] == circle)[:8].tolist()
        cases[circle] = case(anomaly, txns, members, "these transactions each come before the others")
    return list(cases.values())


def _explain(txns: Txns, reads: _Reads, read: int, other: int, anomaly: str) -> Evidence:
    reader, writer = int(reads.reader[read]), int(reads.writer[read])
    key = txns.key_name(int(reads.key[read]))
    said = f"op {int(txns.op[reader])} ({show(txns, reader)})"
    members = [reader, other]
    if writer == len(txns):
        return case(
            anomaly,
            txns,
            members,
            f"{said} read {key} as nobody had written it, though it had seen op {int(txns.op[other])}, which did",
            key=key,
        )
    return case(
        anomaly,
        txns,
        [*members, writer],
        f"{said} read {key} from op {int(txns.op[writer])}, though it had seen op {int(txns.op[other])}, which wrote "
        "it too and does not come before that",
        key=key,
    )


def _pram(
    finding: Finding, order: OpenOrder, sessions: _Sessions, lists: AppendHistory | None, deadline: int
) -> Finding:
    """Ask of each process whether all that was written can be put in an order that explains what it read."""
    found: list[Evidence] = []
    nobody = len(order.txns)
    columns = np.array(order.reads, dtype=np.int64).reshape(-1, 3)
    everything = _Reads(
        columns[:, 0], columns[:, 1], np.where(columns[:, 2] == INITIAL, nobody, columns[:, 2])
    )
    processes = sessions.session[everything.reader]
    for process in np.unique(processes).tolist():
        if now_ns() > deadline:
            if found:
                break
            said = f"the deadline passed before process {process} was looked at; nothing against pram so far"
            return replace(finding, verdict=Verdict.UNKNOWN, summary=said)
        reads = everything.of(np.flatnonzero(processes == process))
        chain = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        if lists is not None:
            reads, chain, contradiction = _lists_of(order, sessions, lists, process)
            if contradiction:
                said = "these reads of one process are no beginnings of one list"
                found.append(case("no-pram-order", order.txns, contradiction, said))
                continue
        found += _view(order.txns, sessions, reads, chain)
    return _told(finding, "pram", "no-pram-order", found)


def _view(txns: Txns, sessions: _Sessions, reads: _Reads, chain: tuple[I64, I64]) -> list[Evidence]:
    """Return why there is no order of all writes that explains the reads of one process, if there is none."""
    nobody = len(txns)
    seen = (reads.writer < nobody) & (reads.writer != reads.reader)
    known = [sessions.order, (reads.writer[seen], reads.reader[seen]), chain, _begin(sessions, nobody)]
    drawn: list[_Conclusion] = []
    before: I32 | None = None
    while True:
        clocks = sessions.clocks(_joined([*known, *((each.first, each.then) for each in drawn)]))
        if clocks is None:
            return _circles(txns, reads, known, drawn, "no-pram-order")
        if before is not None and np.array_equal(clocks, before):
            return []
        drawn, before = list(_seen(sessions, reads, clocks)), clocks


def _lists_of(
    order: OpenOrder, sessions: _Sessions, history: AppendHistory, process: int
) -> tuple[_Reads, tuple[I64, I64], tuple[int, ...]]:
    """Return a process' reads of lists, the order of appends that they show, and two that contradict each other."""
    txns, nobody = order.txns, len(order.txns)
    failed = txns.outcome == int(Outcome.FAIL)
    rows: list[tuple[int, int, int]] = []
    longest: dict[int, tuple[int, list[int]]] = {}  # by key: who read it, and whose appends it showed
    contradiction: tuple[int, ...] = ()
    edges: list[tuple[int, int]] = []
    reads = history.versions.reads
    mine = reads[sessions.session[history.txn_of_mop[reads]] == process]
    for mop in mine[txns.outcome[history.txn_of_mop[mine]] == int(Outcome.OK)].tolist():
        txn, key = int(history.txn_of_mop[mop]), int(txns.key[mop])
        elements = txns.list_of(mop)
        appends = history.index.find(np.full(len(elements), key), elements)
        writers = [int(history.txn_of_mop[at]) for at in appends[appends != NOBODY].tolist()]
        writers = [writer for writer in writers if not failed[writer]]
        before, known = longest.get(key, (txn, []))
        if any(a != b for a, b in zip(writers, known, strict=False)):
            contradiction = (before, txn)
        if len(writers) > len(known):
            longest[key] = (txn, writers)
        others = [writer for writer in writers if writer != txn]
        rows.append((txn, key, others[-1] if others else nobody))
    for key, (_, writers) in longest.items():
        edges += [(a, b) for a, b in pairwise(writers) if a != b]
        shown = set(writers)
        edges += [(writers[-1], other) for other in order.writers.get(key, ()) if other not in shown]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    chain = np.array(edges, dtype=np.int64).reshape(-1, 2)
    happened = np.isin(chain, sessions.members).all(axis=1)
    reads_of = _Reads(columns[:, 0], columns[:, 1], columns[:, 2])
    return reads_of, (chain[happened, 0], chain[happened, 1]), contradiction
