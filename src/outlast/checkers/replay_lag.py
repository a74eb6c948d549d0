"""Replay lag: how many seconds standbys stay behind the primary when no fault is to blame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.windows import recovery_windows
from outlast.checkers.writes import EVIDENCE_MAX, seconds_in
from outlast.history.history import History


@dataclass(frozen=True, slots=True)
class ReplayLag:
    """Holds the lag that the primary reports of each standby to a limit in seconds, outside the recovery windows.

    A window lasts from a fault's start until it is healed and every standby follows within the limit again, but at
    most ``windows.SETTLE_MAX_S`` longer than the healing. Source: pg_stat_replication.replay_lag.
    """

    limit: float

    name: ClassVar[str] = "replay_lag"

    def check(self, history: History, deadline: int) -> Finding:
        """Return the longest lag in seconds as value; UNKNOWN when none was observed. O(faults · observations)."""
        windows = recovery_windows(history, self.limit)
        looks = [
            seen
            for seen in history.observations
            if seen.source == "replication"
            and seen.replay_lag_s is not None
            and not any(start <= seen.at_ns <= end for start, end in windows)
        ]
        if not looks:
            return Finding(
                self.name,
                Verdict.UNKNOWN,
                "no standby was observed outside the recovery windows",
                limit=self.limit,
            )
        looks.sort(key=lambda seen: -(seen.replay_lag_s or 0.0))
        longest = looks[0].replay_lag_s or 0.0
        over = [seen for seen in looks if (seen.replay_lag_s or 0.0) > self.limit]
        said = f"at most {longest:.3f} s behind ({looks[0].node}), outside {len(windows)} recovery windows"
        evidence = tuple(
            Evidence(
                f"{seen.node} was {seen.replay_lag_s:.3f} s behind at {seconds_in(history, seen.at_ns):.3f} s",
                (),
                {"node": seen.node, "at_s": round(seconds_in(history, seen.at_ns), 3)},
            )
            for seen in over[:EVIDENCE_MAX]
        )
        return Finding(
            self.name,
            Verdict.FAIL if over else Verdict.PASS,
            said,
            value=round(longest, 6),
            limit=self.limit,
            anomalies={"lag": len(over)} if over else {},
            evidence=evidence,
        )
