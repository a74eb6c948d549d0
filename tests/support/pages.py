"""A stored run for tests of pages: a primary is cut off, goes on acknowledging, and what it acknowledged is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from histories import Row, Story, content, ops, s, seen

from outlast.checkers.base import Finding, run_checker, worst
from outlast.checkers.fault_effects import FaultEffects
from outlast.checkers.lost_writes import LostWrites
from outlast.checkers.outage import Outage
from outlast.checkers.replicas_equal import ReplicasEqual
from outlast.checkers.split_brain import SplitBrain
from outlast.history.history import FaultRecord, History, NodeObservation
from outlast.history.op import Outcome
from outlast.history.store import RunDocument, save_run
from outlast.report.findings import finding_document

CHECKERS = (FaultEffects(1), LostWrites(), Outage(limit=8.0), SplitBrain(), ReplicasEqual())
CLIENTS = 6
FAULT_S, HEALED_S, LOST_UNTIL_S, BACK_S, END_S = 4.0, 14.0, 7.0, 9.0, 16.0


def partition_history(*, old: str = "pg-node-1", new: str = "pg-node-2", every: float = 0.02) -> History:
    """Return a run of 16 s in which old loses every write that it acknowledges from 4 to 7 s."""
    rows = [
        Row(i, i * every, 0.004 + (i % 7) / 1000, node=old, timeline=1, lsn=1000 + i * 100)
        for i in range(round(LOST_UNTIL_S / every))
    ]
    refused = range(round(LOST_UNTIL_S / every), round(BACK_S / every))
    rows += [Row(i, i * every, 0.002, Outcome.FAIL, node="", timeline=0) for i in refused]
    rows.append(Row(99_999, LOST_UNTIL_S, -1, Outcome.INFO, node="", timeline=0))
    again = range(round(BACK_S / every), round(END_S / every))
    rows += [Row(i, i * every, 0.005, node=new, timeline=2, lsn=30_000 + i * 100) for i in again]
    branch = 1000 + round(FAULT_S / every) * 100 - 50
    nodes = (old, new, "pg-node-3")
    story = Story(
        rows,
        values=[
            row.value
            for row in rows
            if row.outcome == Outcome.OK and not (row.timeline == 1 and row.lsn > branch)
        ],
        faults=[
            FaultRecord(
                *("net_partition", (old,), s(FAULT_S), s(FAULT_S - 0.01), s(FAULT_S), s(HEALED_S), True),
                "5 of 5 datagrams vanished",
                {"kind": "isolate"},
            )
        ],
        observations=[seen_at for at in range(0, 170, 5) for seen_at in _observed(at / 10, nodes)],
        contents=tuple(content(node) for node in nodes),
        timeline_starts=((1, 0), (2, branch)),
        end=END_S,
    )
    history = story.history()
    assert history.final is not None
    clients = (history.ops.value % CLIENTS).astype(np.int32)
    final = replace(history.final, primary=new, timeline=2)
    return replace(history, ops=replace(history.ops, process=clients), final=final)


def _observed(at_s: float, nodes: tuple[str, str, str]) -> list[NodeObservation]:
    old, new, third = nodes
    was = NodeObservation(s(at_s), old, "node", "primary", 1, int(at_s * 9000), "running", "async")
    gone = NodeObservation(s(at_s), old, "node", "", 0, 0, "unreachable")
    found = [was if at_s < LOST_UNTIL_S else gone if at_s < HEALED_S + 1 else seen(at_s, old, "standby", 2)]
    leads = at_s >= BACK_S - 0.5
    found.append(
        NodeObservation(
            s(at_s), new, "node", "primary" if leads else "standby", 2 if leads else 1, int(at_s * 8000)
        )
    )
    found.append(NodeObservation(s(at_s), third, "node", "standby", 2 if leads else 1, int(at_s * 7000)))
    found.append(
        NodeObservation(s(at_s), third, "replication", "", 0, 0, "streaming", "", 0.01, 4000 + int(at_s * 90))
    )
    held = at_s < LOST_UNTIL_S + 0.5
    found.append(
        NodeObservation(
            s(at_s), old if held else new if leads else "", "dcs", "primary" if held or leads else "", 0, 0
        )
    )
    return found


def stored_run(
    folder: Path, history: History, findings: list[Finding] | None = None, **given: object
) -> Path:
    """Judge a history, unless findings are given, and store it as a run; returns its folder."""
    found = [run_checker(one, history, 30) for one in CHECKERS] if findings is None else findings
    document = RunDocument(
        name="primary-partition",
        system="patroni",
        profile="default",
        seed=7,
        replay="outlast drill primary-partition --set sync=off --seed 7",
        started="20260102T030405Z",
        verdict=worst(one.verdict for one in found),
        cluster={"system": "patroni", "sync": "off", "nodes": [{"name": "pg-node-1"}]},
        drill={"duration": 16.0, "timeline": [{"at": 4.0, "fault": "net_partition"}]},
        versions={"outlast": "0.1.0", "PostgreSQL": "18.4"},
        findings=tuple(finding_document(one) for one in found),
        notes={
            "title": "Cut the primary off",
            "sync": "off",
            "model_s": 8.0,
            "model": "ttl 5 s + 3 s",
            "rejoin_s": 2.5,
        },
    )
    save_run(folder, history, replace(document, **given))  # type: ignore[arg-type]
    return folder


def single_column(rows: list[Row], payloads: list[str], function: str, keys: list[int]) -> History:
    """Return a history of ops that carry payloads, for checkers of transactions and objects."""
    made = ops(rows)
    made = replace(
        made,
        f_names=(function,),
        payload=payloads,
        key=np.array(keys, dtype=np.int64),
        value=np.full(len(rows), np.iinfo(np.int64).min),
    )
    return History(ops=made, start_ns=s(0), end_ns=s(10))


def serious(page: Any, axe: str) -> list[str]:
    """Return what axe holds against a page that is serious or worse, a line each."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]
