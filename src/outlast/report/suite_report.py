"""A suite as reports show it: its members, each a run, a check in code, or what was skipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from outlast.checkers.base import Verdict
from outlast.history.history import JSON
from outlast.report.findings import CheckResult
from outlast.report.run_report import Expectation, Number, RunReport

SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CodeCheckReport:
    """A check that is code, or a run that failed before it had a history: findings without a recorded load.

    store: its folder, "" for a check that passed.
    """

    drill: str
    title: str
    system: str
    profile: str
    sync: str
    verdict: Verdict
    seed: int
    replay: str
    started: str
    duration_s: Number
    checks: tuple[CheckResult, ...]
    store: str = ""
    expectation: Expectation | None = None
    lateness: Mapping[str, JSON] | None = None

    def to_document(self) -> dict[str, JSON]:
        """Return it in the shape of a run's document, as far as that goes."""
        return {
            "drill": self.drill,
            "title": self.title,
            "system": self.system,
            "profile": self.profile,
            "sync": self.sync,
            "verdict": self.verdict.value,
            "seed": self.seed,
            "replay": self.replay,
            "store": self.store or None,
            "started": self.started,
            "duration_s": self.duration_s,
            "acked": None,
            "acked_lost": None,
            "outage_s": None,
            "two_writers_s": None,
            "lateness": None if self.lateness is None else dict(self.lateness),
            "checks": [check.to_document() for check in self.checks],
            **({} if self.expectation is None else self.expectation.to_document()),
        }


@dataclass(frozen=True, slots=True)
class SkippedReport:
    """A member that could not run here. reason: in a sentence."""

    drill: str
    title: str
    reason: str

    def to_document(self) -> dict[str, JSON]:
        """Return it as it is printed."""
        return {"drill": self.drill, "title": self.title, "verdict": SKIPPED, "reason": self.reason}


MemberReport = RunReport | CodeCheckReport | SkippedReport
"""What came of a member of a suite."""


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """A suite that has ended. ended: why it ended early, None when it did not. duration_s: seconds."""

    suite: str
    title: str
    system: str
    verdict: Verdict
    ended: str | None
    seed: int
    replay: str
    started: str
    duration_s: float
    members: tuple[MemberReport, ...]

    @property
    def skipped(self) -> int:
        """How many members could not run."""
        return sum(isinstance(member, SkippedReport) for member in self.members)

    @property
    def ran(self) -> int:
        """How many members ran."""
        return len(self.members) - self.skipped

    def to_document(self) -> dict[str, JSON]:
        """Return it as ``outlast suite --json`` prints it."""
        return {
            "suite": self.suite,
            "title": self.title,
            "system": self.system,
            "verdict": self.verdict.value,
            "ended": self.ended,
            "seed": self.seed,
            "replay": self.replay,
            "started": self.started,
            "duration_s": self.duration_s,
            "ran": self.ran,
            "skipped": self.skipped,
            "drills": [member.to_document() for member in self.members],
        }
