"""Asks of a history in which nothing else was found whether its versions can be ordered at all.

Registers show little of the order of their versions. Lists show all of it but where appends that nobody read belong
among each other, which matters on snapshots alone: two that wrote one key may not overlap.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.transactions.consistency import ORDERS, VARIANTS, split_variant
from outlast.checkers.transactions.list_append import AppendHistory
from outlast.checkers.transactions.observed import case
from outlast.checkers.transactions.rw_register import RegisterHistory
from outlast.checkers.transactions.version_search import INITIAL, Conflict, Read, VersionSearch
from outlast.checkers.transactions.versions import ELSEWHERE, NOBODY
from outlast.checkers.transactions.versions import INITIAL as INITIAL_VERSION
from outlast.clock import now_ns
from outlast.history.op import NONE, Outcome
from outlast.history.txn import Txns
from outlast.units import NS_PER_S

TXNS_MAX: Final = 1_000
"""Transactions that share keys, directly or by others, up to which their order is searched: beyond, what shows
without a search must do."""

SEARCH_S: Final = 10.0
"""How long a history's searches may take together, likewise."""

_SAID: Final = {
    "no-cursor-order": "with nothing written between a read and its own write of a key",
    "no-snapshot-order": "on snapshots",
    "no-serial-order": "one after another",
}
_KEEPING: Final = {"": "", "-process": ", each client's in its order", "-realtime": ", in real time"}


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """What is known of the versions of all keys. reads: (transaction, key, who wrote what it saw, or INITIAL), of
    those that were acknowledged. updates: those of them that come last before the reader writes the key. writers:
    by key, who may have written it. chain: (earlier, later) writers of versions, and of what was read and its
    reader. seen: transactions that happened although nobody acknowledged them."""

    txns: Txns
    reads: list[tuple[int, int, int]]
    updates: list[tuple[int, int, int]]
    writers: dict[int, list[int]]
    chain: list[tuple[int, int]]
    seen: set[int]

    @classmethod
    def of_registers(cls, history: RegisterHistory) -> OpenOrder:
        """Return what a register history shows. O(reads)."""
        acked = history.txns.outcome == int(Outcome.OK)
        reads = [
            (txn, key, INITIAL if value == NONE else history.writer[key, value])
            for (key, value), readers in history.readers.items()
            if value == NONE or (key, value) in history.writer
            for txn in readers
            if acked[txn]
        ]
        updates = [
            (txn, key, INITIAL if value == NONE else history.writer[key, value])
            for (key, value), group in history.updates.items()
            if value == NONE or (key, value) in history.writer
            for txn, _ in group
        ]
        chain = [
            (history.writer[version], txn)
            for txn, version in history.reads
            if acked[txn] and history.writer.get(version, txn) != txn
        ]
        seen = {writer for writer, _ in chain}
        return cls(history.txns, reads, updates, history.writers, chain, seen)

    @classmethod
    def of_lists(cls, history: AppendHistory) -> OpenOrder:
        """Return what a list history shows. O(m)."""
        txns, versions, writer_txn = history.txns, history.versions, history.writer_txn
        acked = txns.outcome == int(Outcome.OK)
        reads: set[tuple[int, int, int]] = set()
        for mop in versions.reads.tolist():
            txn, version = int(history.txn_of_mop[mop]), int(versions.of_read[mop])
            if version == ELSEWHERE or not acked[txn]:
                continue
            key = int(txns.key[mop])
            while (
                version >= 0 and writer_txn[version] == txn
            ):  # before its own appends it saw what they follow
                version = version - 1 if version > versions.start[key] else INITIAL_VERSION
            writer = INITIAL if version == INITIAL_VERSION else int(writer_txn[version])
            if writer != NOBODY or version == INITIAL_VERSION:
                reads.add((txn, key, writer))
        writers: dict[int, dict[int, None]] = defaultdict(dict)
        last: dict[int, int] = {}
        chain: dict[tuple[int, int], None] = {}
        for key, writer in zip(versions.key.tolist(), writer_txn.tolist(), strict=True):
            if writer != NOBODY:
                if last.get(key, writer) != writer:
                    chain[last[key], writer] = None
                last[key] = writer
                writers[key][writer] = None
        for mop in np.flatnonzero(txns.is_write & (versions.of_append == NOBODY)).tolist():
            key, txn = int(txns.key[mop]), int(history.txn_of_mop[mop])
            if txns.outcome[txn] != int(Outcome.FAIL):
                if last.get(key, txn) != txn:
                    chain[last[key], txn] = None
                writers[key][txn] = None
        seen = set(writer_txn[writer_txn != NOBODY].tolist())
        chain |= {(writer, txn): None for txn, _, writer in reads if writer != INITIAL}
        updates = [
            (
                int(history.txn_of_mop[mop]),
                int(txns.key[mop]),
                INITIAL if at == INITIAL_VERSION else int(writer_txn[at]),
            )
            for mop, _ in zip(*history.updates(), strict=True)
            if (at := int(versions.of_read[mop])) != ELSEWHERE
        ]
        by_key = {key: list(each) for key, each in writers.items()}
        return cls(txns, sorted(reads), updates, by_key, list(chain), seen)


@dataclass(frozen=True, slots=True)
class _Component:
    """Transactions that share keys, in order of invocation; all others are their places here."""

    txns: list[int]
    writers: dict[int, list[int]]
    reads: list[Read]
    updates: list[Read]
    chain: list[tuple[int, int]]


def search_order(finding: Finding, history: OpenOrder, consistency: str, deadline: int) -> Finding:
    """Return the finding, or what a search for an order of versions adds to it.

    finding: what showed without a search, a pass. deadline: monotonic ns. Exponential at
    worst, see version_search.py.
    """
    anomaly = ORDERS.get(consistency)
    if anomaly is None:
        return finding
    base, variant = split_variant(anomaly)
    skipped = 0
    until = min(deadline, now_ns() + int(SEARCH_S * NS_PER_S))
    for component in _components(history):
        if len(component.txns) > TXNS_MAX:
            skipped += len(component.txns)
            continue
        # Real time leaves little to try, and an order that keeps it will do for every level; not where a transaction
        # may read two versions of a key, since one order has room for one.
        strongest = "no-cursor-order" if base == "no-cursor-order" else "no-serial-order"
        search = _search(history, component, f"{strongest}-realtime")
        answer = search.run(until)
        if answer is False and anomaly != "no-serial-order-realtime":
            search = _search(history, component, anomaly)
            answer = search.run(until)
        if answer is False:
            for weaker in VARIANTS[: VARIANTS.index(variant)]:  # is so much order to blame?
                plain = _search(history, component, base + weaker)
                if plain.run(until) is False:
                    anomaly, search = base + weaker, plain
                    break
            return _failed(finding, history, component, search.conflict, anomaly, consistency)
        skipped += 0 if answer else len(component.txns)
    if skipped:
        said = f"{finding.summary}; the versions of {skipped} transactions were ordered only in part"
        return replace(finding, summary=said)
    return finding


def _failed(
    finding: Finding,
    history: OpenOrder,
    component: _Component,
    conflict: Conflict | None,
    anomaly: str,
    consistency: str,
) -> Finding:
    base, variant = split_variant(anomaly)
    what = _SAID[base] + _KEEPING[variant]
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
    history: OpenOrder, component: _Component, conflict: Conflict | None, anomaly: str, what: str
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
    key = txns.key_name(conflict.read.key)
    why = (
        f"op {int(txns.op[reader])} saw {source} on {key}, and op {int(txns.op[other])}, which wrote it too, "
        "fits neither before that nor after the read"
    )
    if conflict.read.writer == conflict.read.reader:
        why = f"op {int(txns.op[reader])} and op {int(txns.op[other])} both wrote {key}, and neither can be first"
    message = f"no order of versions lets the transactions run {what}: {why}"
    return case(anomaly, txns, dict.fromkeys(members), message)


def _search(history: OpenOrder, component: _Component, anomaly: str) -> VersionSearch:
    base, variant = split_variant(anomaly)
    after = [0] * len(component.txns)
    if variant:
        after = _real_time(history, component.txns)
    if variant == "-process":
        of_process: dict[int, int] = defaultdict(int)
        for place, txn in enumerate(component.txns):
            of_process[int(history.txns.process[txn])] |= 1 << place
        after = [
            mask & of_process[int(history.txns.process[txn])]
            for mask, txn in zip(after, component.txns, strict=True)
        ]
    reads = component.updates if base == "no-cursor-order" else component.reads
    snapshot = base == "no-snapshot-order"
    return VersionSearch(len(component.txns), component.writers, reads, after, snapshot, component.chain)


def _real_time(history: OpenOrder, members: list[int]) -> list[int]:
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


def _components(history: OpenOrder) -> list[_Component]:
    """Return the transactions that happened by the keys they share, the smallest components first."""
    happened = set(np.flatnonzero(history.txns.outcome == int(Outcome.OK)).tolist()) | history.seen
    roots: dict[int, int] = {}

    def root(key: int) -> int:
        while roots.setdefault(key, key) != key:
            roots[key] = key = roots[roots[key]]
        return key

    keys: dict[int, set[int]] = defaultdict(set)
    for txn, key, _ in history.reads:
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
    home: dict[int, _Component] = {}
    for txn in sorted(happened):
        if keys[txn]:
            home[txn] = components.setdefault(root(next(iter(keys[txn]))), _Component([], {}, [], [], []))
            place[txn] = len(home[txn].txns)
            home[txn].txns.append(txn)
    for key, writers in history.writers.items():
        if here := [place[txn] for txn in writers if txn in place]:
            components[root(key)].writers[key] = here
    for txn, key, writer in history.reads:
        home[txn].reads.append(Read(place[txn], key, writer if writer == INITIAL else place[writer]))
    for txn, key, writer in history.updates:
        home[txn].updates.append(Read(place[txn], key, writer if writer == INITIAL else place[writer]))
    for earlier, later in history.chain:
        if earlier in place and later in place:
            home[earlier].chain.append((place[earlier], place[later]))
    return sorted(components.values(), key=lambda each: len(each.txns))
