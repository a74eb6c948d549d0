"""A run as reports show it: one typed value, from which the terminal, pages, JUnit and JSON are made.

``to_document`` is the one place where a run becomes the JSON that ``drill --json`` prints (docs/json.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from outlast.checkers.base import Verdict
from outlast.checkers.too_busy import figures as lateness_figures
from outlast.checkers.too_busy import unsent_share
from outlast.history.history import JSON, FaultRecord, History
from outlast.history.op import Outcome
from outlast.history.store import RunDocument
from outlast.report.findings import CheckResult
from outlast.units import NS_PER_S

Number = int | float


@dataclass(frozen=True, slots=True)
class OpCounts:
    """How many operations ended how. local: of those of unknown outcome, committed on the primary alone."""

    invoked: int
    ok: int
    fail: int
    info: int
    local: int

    def to_document(self) -> dict[str, JSON]:
        """Return it as it is printed."""
        return {
            "invoked": self.invoked,
            "ok": self.ok,
            "fail": self.fail,
            "info": self.info,
            "local": self.local,
        }


@dataclass(frozen=True, slots=True)
class OutagePhases:
    """An outage taken apart, seconds; None where it could not be told."""

    detect_s: Number | None = None
    promote_s: Number | None = None
    route_s: Number | None = None

    def to_document(self) -> dict[str, JSON]:
        """Return it as it is printed."""
        return {"detect_s": self.detect_s, "promote_s": self.promote_s, "route_s": self.route_s}


@dataclass(frozen=True, slots=True)
class ModelOutage:
    """The longest outage that a system's own settings allow, seconds, and how it is made up."""

    outage_s: Number | None
    reason: str | None

    def to_document(self) -> dict[str, JSON]:
        """Return it as it is printed."""
        return {"outage_s": self.outage_s, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class FaultReport:
    """One injection. Times in seconds from the start of the load; healed_s: None when it never was."""

    fault: str
    targets: tuple[str, ...]
    params: Mapping[str, JSON]
    planned_s: float
    at_s: float
    healed_s: float | None
    effective: bool | None
    evidence: str
    means: tuple[str, ...]

    def to_document(self) -> dict[str, JSON]:
        """Return it as it is printed."""
        return {
            "fault": self.fault,
            "targets": list(self.targets),
            "params": dict(self.params),
            "planned_s": self.planned_s,
            "at_s": self.at_s,
            "healed_s": self.healed_s,
            "effective": self.effective,
            "evidence": self.evidence,
            "means": list(self.means),
        }


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a suite expected of a run, and what came of that.

    outcome: in words. expected: as it is printed. run: its own verdict and checks, where others stand for them.
    """

    outcome: str
    expected: Mapping[str, JSON]
    run: tuple[Verdict, tuple[CheckResult, ...]] | None = None

    def to_document(self) -> dict[str, JSON]:
        """Return the fields that it adds to its run's."""
        document: dict[str, JSON] = {"outcome": self.outcome, "expected": dict(self.expected)}
        if self.run is not None:
            verdict, checks = self.run
            document["run"] = {
                "verdict": verdict.value,
                "checks": [check.to_document() for check in checks],
            }
        return document


@dataclass(frozen=True, slots=True)
class RunReport:
    """One run. Figures are None where no check measured them. store: its folder.

    soak: the figures of a soak, None of any other run. lateness: how late the tool was itself, None where that was not
    noted. expectation: of a suite's member, where there is one.
    """

    drill: str
    title: str | None
    system: str
    profile: str
    sync: str | None
    verdict: Verdict
    seed: int
    replay: str
    store: str
    started: str
    duration_s: Number | None
    ops: OpCounts
    acked_lost: Number | None
    outage_s: Number | None
    outage: OutagePhases
    model: ModelOutage
    availability: Number | None
    two_writers_s: Number | None
    replicas_equal: bool | None
    rejoin_s: Number | None
    plan: tuple[Mapping[str, JSON], ...]
    faults: tuple[FaultReport, ...]
    checks: tuple[CheckResult, ...]
    soak: Mapping[str, JSON] | None = None
    lateness: Mapping[str, JSON] | None = None
    expectation: Expectation | None = None

    @property
    def acked(self) -> int:
        """How many operations were acknowledged."""
        return self.ops.ok

    def check(self, name: str) -> CheckResult | None:
        """Return a check's result, None when there was no such check."""
        return next((check for check in self.checks if check.name == name), None)

    def to_document(self) -> dict[str, JSON]:
        """Return it as ``outlast drill --json`` prints it."""
        return {
            "drill": self.drill,
            "title": self.title,
            "system": self.system,
            "profile": self.profile,
            "sync": self.sync,
            "verdict": self.verdict.value,
            "seed": self.seed,
            "replay": self.replay,
            "store": self.store,
            "started": self.started,
            "duration_s": self.duration_s,
            "ops": self.ops.to_document(),
            "acked": self.acked,
            "acked_lost": self.acked_lost,
            "outage_s": self.outage_s,
            "outage": self.outage.to_document(),
            "model": self.model.to_document(),
            "availability": self.availability,
            "two_writers_s": self.two_writers_s,
            "replicas_equal": self.replicas_equal,
            "rejoin_s": self.rejoin_s,
            "plan": [dict(step) for step in self.plan],
            "faults": [fault.to_document() for fault in self.faults],
            "lateness": None if self.lateness is None else dict(self.lateness),
            "checks": [check.to_document() for check in self.checks],
            **({} if self.soak is None else {"soak": dict(self.soak)}),
            **({} if self.expectation is None else self.expectation.to_document()),
        }


def run_report(history: History, document: RunDocument, store: Path) -> RunReport:
    """Return the report of a run from its store. O(ops)."""
    ops = history.ops
    counts = {outcome: int(ops.outcome_is(outcome).sum()) for outcome in Outcome}
    checks = tuple(CheckResult.from_document(finding) for finding in document.findings)
    by_name = {check.name: check for check in checks}
    outage = by_name.get("outage")
    # The first piece of its evidence is the longest gap.
    gap = outage.evidence[0].details if outage is not None and outage.evidence else {}
    notes = document.notes
    equal = _value(by_name.get("replicas_equal"))
    soak = notes.get("soak")
    return RunReport(
        drill=document.name,
        title=_text(notes.get("title")),
        system=document.system,
        profile=document.profile,
        sync=_text(notes.get("sync")),
        verdict=Verdict(document.verdict),
        seed=document.seed,
        replay=document.replay,
        store=str(store),
        started=document.started,
        duration_s=_number(notes.get("duration_s")),
        ops=OpCounts(
            len(ops),
            counts[Outcome.OK],
            counts[Outcome.FAIL],
            counts[Outcome.INFO] + counts[Outcome.LOCAL],
            counts[Outcome.LOCAL],
        ),
        acked_lost=_number(_value(by_name.get("lost_writes") or by_name.get("restorable"))),
        outage_s=_number(_value(outage)),
        outage=OutagePhases(*(_number(gap.get(name)) for name in ("detect_s", "promote_s", "route_s"))),
        model=ModelOutage(_number(notes.get("model_s")), _text(notes.get("model"))),
        availability=_number(gap.get("availability")),
        two_writers_s=_number(_value(by_name.get("split_brain"))),
        replicas_equal=equal if isinstance(equal, bool) else None,
        rejoin_s=_number(notes.get("rejoin_s")),
        plan=document.plan,
        faults=tuple(_fault(fault, history) for fault in history.faults),
        checks=checks,
        soak=soak if isinstance(soak, dict) else None,
        lateness=None
        if history.lateness is None
        else lateness_figures(history.lateness, history.faults, unsent_share(history)),
    )


def lateness_words(lateness: Mapping[str, JSON]) -> str:
    """Return how late the tool and its machine were, in words; its figures are those of ``checkers.too_busy``."""
    said = (
        "share of the time that programs waited for a core; "
        f"{lateness['stolen']} stolen, own loop {lateness['lag_s']} s late at most, "
        f"faults {lateness['fault_late_s']} s, looks took {lateness['look_s']} s"
    )
    unsent = _number(lateness["unsent"])
    return said if unsent is None else f"{said}; {unsent:.3f} of ops found no client free"


def _fault(fault: FaultRecord, history: History) -> FaultReport:
    def since_start(at_ns: int) -> float:
        return round((at_ns - history.start_ns) / NS_PER_S, 3)

    return FaultReport(
        fault.fault,
        fault.targets,
        fault.params,
        since_start(fault.planned_ns),
        since_start(fault.at_ns),
        None if fault.healed_ns is None else since_start(fault.healed_ns),
        fault.effective,
        fault.evidence,
        fault.means,
    )


def _value(check: CheckResult | None) -> JSON:
    return None if check is None else check.value


def _number(value: JSON) -> Number | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: JSON) -> str | None:
    return None if value is None else str(value)
