"""The transaction checkers: list-append and rw-register histories, judged against a consistency level."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.transactions.append_anomalies import find_direct
from outlast.checkers.transactions.consistency import (
    BY_SIGHT,
    CYCLES,
    INFERRED,
    LEVELS,
    PROSCRIBED,
    VARIANTS,
    ruled_out,
    strongest,
)
from outlast.checkers.transactions.cycles import Cycles, CycleWitness, find_cycles
from outlast.checkers.transactions.graph import (
    KIND_NAMES,
    PROCESS,
    REALTIME,
    RW,
    Graph,
    GraphBuilder,
    add_process_order,
    add_real_time,
)
from outlast.checkers.transactions.list_append import AppendHistory
from outlast.checkers.transactions.no_order import OpenOrder, search_order
from outlast.checkers.transactions.observed import CASES_SHOWN, Anomalies, Explainer, show
from outlast.checkers.transactions.rw_register import RegisterHistory
from outlast.checkers.transactions.visibility import check_visibility
from outlast.checkers.values import place_of
from outlast.extras import require
from outlast.history.history import JSON, History
from outlast.history.op import Ops, Outcome
from outlast.history.txn import Txns, transactions

_ORDER = {
    name: place
    for place, name in enumerate(
        [
            *("garbage-read", "duplicate-elements", "incompatible-order", "cyclic-versions", "internal"),
            *("future-read", "G1a", "G1b", "dirty-update", "lost-update", "G-cursor"),
            *(cycle + variant for variant in VARIANTS for cycle in CYCLES),
        ]
    )
}


_UNREAD_MATTER = ("cursor-stability", *(level for level in LEVELS if level.endswith("snapshot-isolation")))


@dataclass(frozen=True, slots=True)
class ListAppend:
    """Judges transactions that append to lists and read them. consistency: a level of ``PROSCRIBED``."""

    consistency: str = "strict-serializable"

    def __post_init__(self) -> None:
        """Refuse, before any run, what could not be judged after it. Raises MissingExtraError."""
        require("transactions")

    @property
    def name(self) -> str:
        """``list_append``."""
        return "list_append"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history; ``unknown`` when the deadline (monotonic ns) ends the search for cycles.

        Raises HistoryError for ops that are no transactions. Linear in micro-operations and elements, plus
        sorting. Source: Kingsbury and Alvaro, "Elle" (VLDB 2021).
        """
        ops = history.ops
        return _placed(self.judge(transactions(ops, lists=True), deadline), ops)

    def judge(self, txns: Txns, deadline: int) -> Finding:
        """Judge transactions that are columnar already."""
        known = AppendHistory.of(txns)
        if len(repeated := known.index.duplicates):
            mop = int(repeated[0])
            return _twice(self.name, txns, mop, int(known.txn_of_mop[mop]))
        anomalies = find_direct(known)
        builder = GraphBuilder(len(txns))
        known.add_dependencies(builder)
        finding = _judge(self.name, self.consistency, txns, anomalies, builder, known.explain, deadline)
        if finding.verdict is not Verdict.PASS:
            return finding
        if self.consistency in BY_SIGHT:
            return check_visibility(finding, OpenOrder.of_lists(known), known, self.consistency, deadline)
        # Elsewhere any order of appends that nobody read will do.
        if self.consistency in _UNREAD_MATTER and known.unread > 1:
            return search_order(finding, OpenOrder.of_lists(known), self.consistency, deadline)
        return finding


@dataclass(frozen=True, slots=True)
class RwRegister:
    """Judges transactions that write and read registers, each value written once a key.

    consistency: a level of ``PROSCRIBED``. initial: what registers hold, frozen, before they are written; None
    for nil.
    """

    consistency: str = "strict-serializable"
    initial: Hashable = None

    def __post_init__(self) -> None:
        """Refuse, before any run, what could not be judged after it. Raises MissingExtraError."""
        require("transactions")

    @property
    def name(self) -> str:
        """``rw_register``."""
        return "rw_register"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history, as ListAppend does; when that shows nothing, search an order of versions.

        O(m log m) and the search, which leaves out what is too much (``no_order.TXNS_MAX``).
        """
        ops = history.ops
        return _placed(self.judge(transactions(ops, lists=False, initial=self.initial), deadline), ops)

    def judge(self, txns: Txns, deadline: int) -> Finding:
        """Judge transactions that are columnar already."""
        known = RegisterHistory.of(txns)
        if known.duplicate is not None:
            mop, txn = known.duplicate
            return _twice(self.name, txns, mop, txn)
        builder = GraphBuilder(len(txns))
        anomalies = known.find_direct()
        known.add_dependencies(builder, anomalies, INFERRED.get(self.consistency, ""))
        finding = _judge(self.name, self.consistency, txns, anomalies, builder, known.explain, deadline)
        if finding.verdict is not Verdict.PASS:
            return finding
        if self.consistency in BY_SIGHT:
            return check_visibility(finding, OpenOrder.of_registers(known), None, self.consistency, deadline)
        return search_order(finding, OpenOrder.of_registers(known), self.consistency, deadline)


def _placed(finding: Finding, ops: Ops) -> Finding:
    """Return the finding with node, timeline and LSN of each op in evidence, where the history knows them."""
    evidence = []
    for each in finding.evidence:
        places: dict[str, JSON] = {str(op): place for op in each.ops if (place := place_of(ops, op))}
        evidence.append(replace(each, details={**each.details, "served_by": places}) if places else each)
    return replace(finding, evidence=tuple(evidence))


def _twice(name: str, txns: Txns, mop: int, txn: int) -> Finding:
    key, value = txns.key_name(int(txns.key[mop])), txns.value_name(int(txns.value[mop]))
    message = f"{value} was written to {key} more than once, so that nobody can tell which write a read saw"
    return Finding(name, Verdict.UNKNOWN, message, evidence=(Evidence(message, ops=(int(txns.op[txn]),)),))


def _judge(
    name: str,
    consistency: str,
    txns: Txns,
    anomalies: Anomalies,
    builder: GraphBuilder,
    explain: Explainer,
    deadline: int,
) -> Finding:
    """Search the graph for cycles and weigh everything that was found against the level."""
    add_process_order(builder, txns)
    add_real_time(builder, txns)
    graph: Graph = builder.graph()
    cycles = find_cycles(graph, deadline, CASES_SHOWN)
    counts = {**anomalies.counts, **cycles.counts}
    counts = dict(sorted(counts.items(), key=lambda item: _ORDER.get(item[0], len(_ORDER))))
    evidence = _evidence(txns, anomalies, cycles, explain, counts)
    guilty = [anomaly for anomaly in counts if anomaly in PROSCRIBED[consistency]]
    acked = int(np.count_nonzero(txns.outcome == int(Outcome.OK)))
    if guilty:
        verdict, said = Verdict.FAIL, f"not {consistency}: {_listed(counts, guilty)}"
    elif cycles.unfinished is not None:
        verdict, said = Verdict.UNKNOWN, f"{cycles.unfinished}; nothing against {consistency} so far"
    elif not len(txns):
        verdict, said = Verdict.PASS, "no client operations: nothing to judge"
    else:
        verdict, said = (
            Verdict.PASS,
            f"{consistency}: {acked} acknowledged transactions show nothing against it",
        )
    allowed = [anomaly for anomaly in counts if anomaly not in guilty]
    if allowed:
        said += f"; it allows {_listed(counts, allowed)}"
    if counts:
        holds, out = strongest(counts, consistency), ruled_out(counts)
        said += f"; at best {' and '.join(holds) or 'nothing'}"
        levels: dict[str, JSON] = {"strongest": list(holds), "ruled_out": list(out)}
        evidence = (*evidence, Evidence(f"ruled out: {', '.join(out) or 'no level'}", details=levels))
    return Finding(name, verdict, said, anomalies=counts, evidence=evidence, consistency=consistency)


def _listed(counts: dict[str, int], names: list[str]) -> str:
    return ", ".join(f"{name} ({counts[name]})" for name in names)


def _evidence(
    txns: Txns, anomalies: Anomalies, cycles: Cycles, explain: Explainer, counts: dict[str, int]
) -> tuple[Evidence, ...]:
    evidence: list[Evidence] = []
    for name in counts:
        evidence += anomalies.cases.get(name, [])
        evidence += [explain_cycle(txns, cycle, explain) for cycle in cycles.witnesses.get(name, [])]
    return tuple(evidence)


def explain_cycle(txns: Txns, cycle: CycleWitness, explain: Explainer) -> Evidence:
    """Return a cycle as evidence: its transactions T1 …, and for each edge the reason why it must be."""
    members = [txn for txn, _ in cycle.steps]
    names = {txn: f"T{number}" for number, txn in enumerate(members, 1)}
    sentences: list[str] = []
    steps: list[JSON] = []
    for place, (a, kind) in enumerate(cycle.steps):
        b = members[(place + 1) % len(members)]
        details: dict[str, JSON] = {}
        if kind == PROCESS:
            text = f"process {int(txns.process[a])} ran {{a}} before {{b}}"
        elif kind == REALTIME:
            text = "{a} was acknowledged before {b} was invoked"
        else:
            reason = explain(a, b, RW if kind & RW else kind)
            text, details = reason.text, reason.details
        label = "rw" if kind & RW else KIND_NAMES[kind]
        sentence = text.format(a=names[a], b=names[b])
        sentences.append(sentence)
        steps.append({"from": names[a], "to": names[b], "type": label, "why": sentence, **details})
    message = f"{cycle.name}: {'; '.join(sentences)}: each comes before the other"
    return Evidence(
        message,
        ops=tuple(int(txns.op[txn]) for txn in members),
        details={
            "anomaly": cycle.name,
            "transactions": {names[txn]: show(txns, txn) for txn in members},
            "steps": steps,
        },
    )
