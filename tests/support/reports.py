"""Reports of runs that never ran, for tests of what is made from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from outlast.checkers.base import Verdict
from outlast.report.findings import CheckResult
from outlast.report.run_report import ModelOutage, OpCounts, OutagePhases, RunReport


def run_of(drill: str, verdict: str, *checks: CheckResult, **changes: Any) -> RunReport:
    """Return the report of a run with these checks; changes: other fields."""
    report = RunReport(
        drill=drill,
        title="A drill",
        system="patroni",
        profile="fast",
        sync="on",
        verdict=Verdict(verdict),
        seed=7,
        replay=f"outlast drill {drill} --seed 7",
        store="runs/x",
        started="20260101T000000Z",
        duration_s=1.0,
        ops=OpCounts(100, 100, 0, 0, 0),
        acked_lost=0,
        outage_s=2.0,
        outage=OutagePhases(),
        model=ModelOutage(10.0, "ttl"),
        availability=None,
        two_writers_s=0.0,
        replicas_equal=True,
        rejoin_s=1.0,
        plan=(),
        faults=(),
        checks=checks,
    )
    return replace(report, **changes)
