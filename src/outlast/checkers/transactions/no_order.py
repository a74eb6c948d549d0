"""Asks of a register history in which nothing else was found whether its versions can be ordered at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.transactions.observed import case
from outlast.checkers.transactions.rw_register import RegisterHistory
from outlast.checkers.transactions.version_search import INITIAL, Conflict, Read, VersionSearch
from outlast.history.op import NONE, Outcome

TXNS_MAX: Final = 1_000
"""Transactions that share keys, directly or by others, up to which their order is searched: beyond, what shows
without a search must do."""

_ANOMALIES: Final = {
    "repeatable-read": "no-serial-order",
    "snapshot-isolation": "no-snapshot-order",
    "serializable": "no-serial-order",
    "strict-serializable": "no-serial-order-realtime",
}


@dataclass(frozen=True, slots=True)
class _Component:
    """Transactions that share keys, in order of invocation; reads and writers use their places here."""

    txns: list[int]
    writers: dict[int, list[int]]
    reads: list[Read]


def search_order(finding: Finding, history: RegisterHistory, consistency: str, deadline: int) -> Finding:
    """Return the finding, or what a search for an order of versions adds to it.

    finding: what showed without a search; only a pass is searched further. deadline: monotonic ns. Exponential at
    worst, see version_search.py.
    """
    anomaly = _ANOMALIES.get(consistency)
    if finding.verdict is not Verdict.PASS or anomaly is None:
        return finding
    skipped = 0
    for component in _components(history):
        if len(component.txns) > TXNS_MAX:
            skipped += len(component.txns)
            continue
        search = _search(history, component, anomaly)
        answer = search.run(deadline)
        if answer is None:
            said = f"the deadline passed while {len(component.txns)} transactions were being ordered"
            return replace(
                finding, verdict=Verdict.UNKNOWN, summary=f"{said}; nothing against {consistency} so far"
            )
        if not answer:
            if anomaly == "no-serial-order-realtime":
                serial = _search(history, component, "no-serial-order")
                if serial.run(deadline) is False:
                    anomaly, search = "no-serial-order", serial
            return _failed(finding, history, component, search.conflict, anomaly, consistency)
    if skipped:
        said = f"{finding.summary}; the versions of {skipped} transactions were ordered only in part"
        return replace(finding, summary=said)
    return finding


def _failed(
    finding: Finding,
    history: RegisterHistory,
    component: _Component,
    conflict: Conflict | None,
    anomaly: str,
    consistency: str,
) -> Finding:
    what = {"no-serial-order": "one after another", "no-snapshot-order": "on snapshots"}.get(
        anomaly, "one after another, in real time"
    )
    evidence = _explain(history, component, conflict, anomaly, what)
    counts = {anomaly: 1, **finding.anomalies}
    return replace(
        finding,
        verdict=Verdict.FAIL,
        summary=f"not {consistency}: {evidence.message}",
        anomalies=counts,
        evidence=(evidence, *finding.evidence),
    )


def _explain(
    history: RegisterHistory, component: _Component, conflict: Conflict | None, anomaly: str, what: str
) -> Evidence:
    txns = history.txns
    if conflict is None:
        return case(
            anomaly, txns, component.txns[:8], f"no order of versions lets the transactions run {what}"
        )
    reader, other = component.txns[conflict.read.reader], component.txns[conflict.other]
    members = [reader, other]
    source = "nil"
    if conflict.read.writer != INITIAL:
        writer = component.txns[conflict.read.writer]
        members.insert(1, writer)
        source = f"what op {int(txns.op[writer])} wrote"
    message = (
        f"no order of versions lets the transactions run {what}: op {int(txns.op[reader])} saw "
        f"{source} on {txns.key_name(conflict.read.key)}, and op {int(txns.op[other])}, which wrote it too, "
        "fits neither before that nor after the read"
    )
    return case(anomaly, txns, dict.fromkeys(members), message)


def _search(history: RegisterHistory, component: _Component, anomaly: str) -> VersionSearch:
    after = [0] * len(component.txns)
    if anomaly == "no-serial-order-realtime":
        after = _real_time(history, component.txns)
    snapshot = anomaly == "no-snapshot-order"
    return VersionSearch(len(component.txns), component.writers, component.reads, after, snapshot)


def _real_time(history: RegisterHistory, members: list[int]) -> list[int]:
    """Return for each transaction the bits of those that were invoked after its acknowledgement."""
    txns = history.txns
    begins = txns.invoke_pos[members]  # ascending
    everyone = (1 << len(members)) - 1
    after = []
    for txn in members:
        first = int(np.searchsorted(begins, txns.complete_pos[txn]))
        acked = txns.outcome[txn] == int(Outcome.OK)
        after.append((everyone >> first) << first if acked else 0)
    return after


def _components(history: RegisterHistory) -> list[_Component]:
    """Return the transactions that happened by the keys they share, the smallest components first."""
    reads = [
        (txn, key, INITIAL if value == NONE else history.writer[key, value])
        for (key, value), readers in history.readers.items()
        if value == NONE or (key, value) in history.writer
        for txn in readers
    ]
    happened = _happened(history, reads)
    roots: dict[int, int] = {}

    def root(key: int) -> int:
        while roots.setdefault(key, key) != key:
            roots[key] = key = roots[roots[key]]
        return key

    keys: dict[int, set[int]] = defaultdict(set)
    for txn, key, _ in reads:
        keys[txn].add(key)
    for key, writers in history.writers.items():
        for txn in writers:
            keys[txn].add(key)
    for txn in happened:
        first, *others = keys[txn] or {-1}
        for other in others:
            roots[root(other)] = root(first)
    components: dict[int, _Component] = {}
    place: dict[int, int] = {}
    for txn in sorted(happened):
        if keys[txn]:
            home = components.setdefault(root(next(iter(keys[txn]))), _Component([], {}, []))
            place[txn] = len(home.txns)
            home.txns.append(txn)
    for key, writers in history.writers.items():
        if here := [place[txn] for txn in writers if txn in place]:
            components[root(key)].writers[key] = here
    acked = history.txns.outcome == int(Outcome.OK)
    for txn, key, writer in reads:
        if txn in place and acked[txn]:
            source = writer if writer == INITIAL else place[writer]
            components[root(key)].reads.append(Read(place[txn], key, source))
    return sorted(components.values(), key=lambda each: len(each.txns))


def _happened(history: RegisterHistory, reads: Iterable[tuple[int, int, int]]) -> set[int]:
    """Return the acknowledged transactions, and those whose writes such ones read."""
    happened = set(np.flatnonzero(history.txns.outcome == int(Outcome.OK)).tolist())
    return happened | {writer for txn, _, writer in reads if txn in happened and writer != INITIAL}
