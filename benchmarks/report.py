"""``bench report``: how long the page of a long run takes to write, and how large it is."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.case import Case
from outlast.checkers.base import run_checker, worst
from outlast.checkers.lost_writes import LostWrites
from outlast.checkers.outage import Outage
from outlast.checkers.split_brain import SplitBrain
from outlast.clock import now_ns, seconds_between
from outlast.history.history import FaultRecord, FinalRead, History, NodeObservation
from outlast.history.op import NONE, Ops, Outcome, event_positions
from outlast.history.store import RunDocument, load_run, save_run
from outlast.report.findings import finding_document
from outlast.report.html import write_page
from outlast.units import NS_PER_S

CLIENTS = 16
RATE_PER_S = 1000
FAILOVERS = 5


def long_history(n: int) -> History:
    """Return n appends at 1000/s on six nodes with five failovers, each of which loses half a second of acks."""
    rng = np.random.default_rng(1)
    start = NS_PER_S
    invoke = start + np.arange(n, dtype=np.int64) * (NS_PER_S // RATE_PER_S)
    complete = invoke + rng.lognormal(14.0, 0.6, n).astype(np.int64)
    end = int(invoke[-1])
    faults_ns = [start + (end - start) * (i + 1) // (FAILOVERS + 1) for i in range(FAILOVERS)]
    outcome = np.full(n, int(Outcome.OK), dtype=np.uint8)
    node, timeline = np.zeros(n, dtype=np.int16), np.ones(n, dtype=np.int32)
    lost = np.zeros(n, dtype=np.bool_)
    for i, at in enumerate(faults_ns):
        outcome[(invoke > at + NS_PER_S // 2) & (invoke < at + 5 * NS_PER_S)] = int(Outcome.FAIL)
        after = invoke >= at + 5 * NS_PER_S
        node[after], timeline[after] = (i + 1) % 6, i + 2
        lost |= (invoke > at) & (invoke <= at + NS_PER_S // 2)
    value = np.arange(n, dtype=np.int64)
    invoke_pos, complete_pos = event_positions(invoke, complete)
    ops = Ops(
        process=(value % CLIENTS).astype(np.int32),
        f=np.zeros(n, dtype=np.int16),
        f_names=("append",),
        key=np.full(n, NONE),
        value=value,
        invoke_ns=invoke,
        complete_ns=complete,
        invoke_pos=invoke_pos,
        complete_pos=complete_pos,
        outcome=outcome,
        node=node,
        node_names=tuple(f"pg-node-{i}" for i in range(1, 7)),
        timeline=timeline,
        lsn=value * 120,
        error=np.full(n, -1, dtype=np.int32),
        error_names=(),
    )
    names = ops.node_names
    observations = []
    for at in range(start, end, NS_PER_S):
        led = sum(at >= fault + 5 * NS_PER_S for fault in faults_ns)
        for place, name in enumerate(names):
            role = "primary" if place == led % 6 else "standby"
            observations.append(
                NodeObservation(at, name, "node", role, led + 1, (at - start) // 9000, "running")
            )
            if role == "standby":
                observations.append(
                    NodeObservation(at, name, "replication", "", 0, 0, "streaming", "", 0.01, 1000 * place)
                )
    kept = value[(outcome == int(Outcome.OK)) & ~lost]
    branches = [
        (i + 2, int((at - start) // (NS_PER_S // RATE_PER_S)) * 120) for i, at in enumerate(faults_ns)
    ]
    final = FinalRead(names[5], FAILOVERS + 1, n * 120, end, {"append": kept}, (), (), ((1, 0), *branches))
    faults = tuple(
        FaultRecord("host_power_off", (names[i % 6],), at, at, at, at + 20 * NS_PER_S, True, "no answer")
        for i, at in enumerate(faults_ns)
    )
    return History(ops, faults, tuple(observations), final, start, end)


def cases(n: int = 1_000_000) -> list[Case]:
    """Return the cases: seconds from the store to the written page, the best of three, and its size."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "run"
        history = long_history(n)
        findings = [run_checker(one, history, 60) for one in (LostWrites(), Outage(limit=30.0), SplitBrain())]
        document = RunDocument(
            *("long", "patroni", "default", 1, "outlast drill long --seed 1", "20260102T030405Z"),
            verdict=worst(one.verdict for one in findings),
            findings=tuple(finding_document(one) for one in findings),
            versions={"outlast": "0"},
        )
        save_run(store, history, document)
        page = Path(folder) / "run.html"
        taken = []
        for _ in range(3):
            began = now_ns()
            write_page(page, [(load_run(store), store)])
            taken.append(seconds_between(began, now_ns()))
        return [
            Case(f"page of a run of {n:,} ops", min(taken), "s"),
            Case("its size", page.stat().st_size / 1e6, "MB"),
        ]
