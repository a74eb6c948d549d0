"""What every checker is: a pure function from a history to a finding."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from outlast.history.history import JSON, History
from outlast.units import NS_PER_S


class Verdict(StrEnum):
    """The judgement. Only ``pass`` exits 0."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"
    """Ran out of time or memory, or a checker crashed."""
    INVALID = "invalid"
    """The experiment proves nothing: a fault did not bite, or nothing was acknowledged."""


_WORST_FIRST = (Verdict.FAIL, Verdict.INVALID, Verdict.UNKNOWN, Verdict.PASS)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of several verdicts: fail, then invalid, then unknown, then pass.

    A found violation stands whatever else went wrong, so fail outranks all. No verdicts at all is unknown.
    """
    seen = set(verdicts)
    return next((verdict for verdict in _WORST_FIRST if verdict in seen), Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One piece of proof. message: one sentence for a person. ops: indices into the history's ops.
    details: figures and names behind it, as JSON values."""

    message: str
    ops: tuple[int, ...] = ()
    details: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one checker says.

    name: the checker's. summary: one line. value, limit: the figure and what it was held to, None where there
    is none; margin is limit − value, or value − limit where the limit is the least that will do (at_least).
    anomalies: counts by name, only those found (n > 0). evidence: worst first, bounded by the checker. elapsed_s:
    seconds the check took. consistency: the level of transactions that was asked for, "" where there is none.
    """

    name: str
    verdict: Verdict
    summary: str
    value: JSON = None
    limit: JSON = None
    anomalies: Mapping[str, int] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    elapsed_s: float = 0.0
    at_least: bool = False
    consistency: str = ""

    @property
    def margin(self) -> float | None:
        """How far the value stays on the right side of its limit; negative beyond; None where there is no number."""
        if isinstance(self.value, bool) or isinstance(self.limit, bool):
            return None
        if isinstance(self.value, int | float) and isinstance(self.limit, int | float):
            margin = float(self.limit) - float(self.value)
            return -margin if self.at_least and margin else margin
        return None


class Checker(Protocol):
    """A judge of histories. Implementations are frozen dataclasses whose fields are their limits."""

    @property
    def name(self) -> str:
        """The name under which drills and reports know it, for example ``lost_writes``."""
        ...

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history; return ``unknown`` when the monotonic deadline (ns) passes first."""
        ...


def run_checker(
    checker: Checker, history: History, timeout_s: float, *, passing: tuple[type[Exception], ...] = ()
) -> Finding:
    """Run one checker and return its finding with its elapsed time.

    A checker that crashes or runs out of memory gives ``unknown`` with the place it crashed: it has not
    shown anything. passing: exceptions that are the caller's to report. Source: Jepsen checker.clj, check-safe.
    """
    start = time.monotonic_ns()
    try:
        finding = checker.check(history, start + int(timeout_s * NS_PER_S))
    except passing:
        raise
    except MemoryError:
        finding = Finding(checker.name, Verdict.UNKNOWN, "ran out of memory")
    except Exception as error:  # noqa: BLE001 - any crash of a checker is a verdict of its own
        place = traceback.extract_tb(error.__traceback__)[-1]
        finding = Finding(
            checker.name,
            Verdict.UNKNOWN,
            f"the checker crashed: {type(error).__name__}: {error} ({place.name}, line {place.lineno})",
        )
    return replace(finding, elapsed_s=(time.monotonic_ns() - start) / NS_PER_S)
