"""How far standbys fell behind the primary, in bytes of write-ahead log, against a limit."""

from __future__ import annotations

from dataclasses import dataclass

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.history.history import History
from outlast.units import NS_PER_S, format_lsn


@dataclass(frozen=True, slots=True)
class Lag:
    """No standby that answers lags by more than limit_bytes. grace_s: how long a lag may last before it
    counts."""

    limit_bytes: int
    grace_s: float = 0.0

    @property
    def name(self) -> str:
        """``lag``."""
        return "lag"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge what nodes showed of themselves, each against the primary's newest position before it.

        ``unknown`` when no standby was ever compared. The deadline is not needed. O(n log n).
        """
        primary_lsn = 0
        worst, compared = 0, 0
        since: dict[str, int] = {}
        evidence: list[Evidence] = []
        for seen in sorted(history.observations, key=lambda each: each.at_ns):
            if seen.lsn == 0 or seen.source != "node":
                continue
            if seen.role == "primary":
                primary_lsn = max(primary_lsn, seen.lsn)
            elif seen.role == "standby" and primary_lsn:
                compared += 1
                lag = max(0, primary_lsn - seen.lsn)
                if lag <= self.limit_bytes:
                    since.pop(seen.node, None)
                    continue
                began = since.setdefault(seen.node, seen.at_ns)
                if seen.at_ns - began < self.grace_s * NS_PER_S or lag <= worst:
                    continue
                worst = lag
                evidence.insert(
                    0,
                    Evidence(
                        f"{seen.node} stood at {format_lsn(seen.lsn)}, "
                        f"{lag} bytes behind {format_lsn(primary_lsn)}",
                        details={"node": seen.node, "at_ns": seen.at_ns, "lag_bytes": lag},
                    ),
                )
        if not compared:
            return Finding(self.name, Verdict.UNKNOWN, "no standby was ever seen beside a primary")
        said = (
            evidence[0].message
            if worst
            else f"{compared} looks at standbys, none over {self.limit_bytes} bytes"
        )
        return Finding(
            self.name,
            Verdict.FAIL if worst else Verdict.PASS,
            said,
            value=worst,
            limit=self.limit_bytes,
            anomalies={"lag": len(evidence)} if worst else {},
            evidence=tuple(evidence[:8]),
        )
