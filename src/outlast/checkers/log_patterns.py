"""Lines that a server's log must never hold: panics, corruption, lost files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.clock import now_ns
from outlast.history.history import History

POSTGRESQL: Final[Mapping[str, str]] = {
    "panic": r"\bPANIC:",
    "corruption": r"invalid page in block|page verification failed|could not read block|is corrupted|"
    r"invalid memory alloc request|unexpected data beyond EOF|missing chunk number|right sibling's left-link",
    "lost-file": r'could not open file "[^"]+": No such file|xlog flush request .* is not satisfied',
    "crash": r"was terminated by signal (?:6|7|11)\b|TRAP: ",
}
"""What PostgreSQL prints, by the name of the anomaly. Sources: PostgreSQL's elog calls in xlog.c, bufmgr.c,
md.c."""


@dataclass(frozen=True, slots=True)
class LogPatterns:
    """No log holds a line that matches. logs: files by node. patterns: regular expressions by anomaly.

    allowed: expressions of lines that are fine nevertheless.
    """

    logs: Mapping[str, Path]
    patterns: Mapping[str, str] = field(default_factory=lambda: POSTGRESQL)
    allowed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``log_patterns``."""
        return "log_patterns"

    def check(self, history: History, deadline: int) -> Finding:
        """Read the logs; ``unknown`` when the deadline (monotonic ns) passes or a file cannot be read.
        O(bytes)."""
        wanted = re.compile("|".join(f"(?P<p{i}>{text})" for i, text in enumerate(self.patterns.values())))
        fine = re.compile("|".join(self.allowed)) if self.allowed else None
        names = list(self.patterns)
        counts: dict[str, int] = {}
        evidence: list[Evidence] = []
        unread: list[str] = []
        for node, path in self.logs.items():
            try:
                with path.open(encoding="utf-8", errors="replace") as lines:
                    for number, line in enumerate(lines, 1):
                        if number % 65536 == 0 and now_ns() > deadline:
                            unread.append(f"{node}: the deadline passed at line {number}")
                            break
                        found = wanted.search(line)
                        if found is None or (fine is not None and fine.search(line)):
                            continue
                        name = names[int((found.lastgroup or "p0")[1:])]
                        counts[name] = counts.get(name, 0) + 1
                        if counts[name] <= 4:
                            evidence.append(
                                Evidence(
                                    f"{name}: {node}: {line.strip()[:200]}",
                                    details={"node": node, "file": str(path), "line": number},
                                )
                            )
            except OSError as error:
                unread.append(f"{node}: {error.strerror}")
        if counts:
            listed = ", ".join(f"{count} {name}" for name, count in counts.items())
            verdict, said = Verdict.FAIL, f"{listed}: {evidence[0].message}"
        elif unread:
            verdict, said = Verdict.UNKNOWN, "; ".join(unread)
        else:
            verdict, said = Verdict.PASS, f"{len(self.logs)} logs without a bad line"
        return Finding(self.name, verdict, said, anomalies=counts, evidence=tuple(evidence))
