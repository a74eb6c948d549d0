"""A finding with the reasons that the cluster itself gave: what its managers, monitors and servers said."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.writes import seconds_in
from outlast.history.history import History

QUOTES_MAX: Final = 6


def quoted(finding: Finding, history: History) -> Finding:
    """Return a finding on an outage that does not pass with what was said from the first fault on; others as they are.

    What was said most often comes first: a sentence that a manager repeats each round of its loop is why nothing
    happens. O(what was said).
    """
    if finding.name != "outage" or finding.verdict is Verdict.PASS:
        return finding
    begun_ns = min((fault.started_ns for fault in history.faults), default=history.start_ns)
    since = [said for said in history.said if said.at_ns >= begun_ns]
    quotes = tuple(
        Evidence(
            f"{seconds_in(history, said.at_ns):.3f} s: {said.words}",
            (),
            {"node": said.node, "log": said.log, "said": said.text, "times": said.times},
        )
        for said in sorted(since, key=lambda said: -said.times)[:QUOTES_MAX]
    )
    return replace(finding, evidence=(*finding.evidence, *quotes))
