"""Did the experiment happen? A fault that did not bite proves nothing; one that was not healed is a failure."""

from __future__ import annotations

from dataclasses import dataclass

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.history.history import FaultRecord, History
from outlast.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class FaultEffects:
    """``invalid`` when a planned fault did not bite or never came to its time, ``fail`` when one was not healed.

    planned: how many injections the plan holds.
    """

    planned: int = 0
    name: str = "fault_effects"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge the records of the faults. O(faults)."""
        faults = history.faults
        unhealed = [fault for fault in faults if fault.healed_ns is None]
        toothless = [fault for fault in faults if fault.effective is False]
        unseen = [fault for fault in faults if fault.effective is None]
        evidence = tuple(
            Evidence(
                f"{fault.fault} on {', '.join(fault.targets)}: {fault.evidence}", (), _details(fault, history)
            )
            for fault in (*unhealed, *toothless, *unseen)
        )
        count = len(faults)
        if unhealed:
            return Finding(
                self.name, Verdict.FAIL, f"{len(unhealed)} of {count} faults not healed", evidence=evidence
            )
        if toothless:
            summary = f"{len(toothless)} of {count} faults did not bite: the run proves nothing"
            return Finding(self.name, Verdict.INVALID, summary, evidence=evidence)
        if count < self.planned:
            summary = f"only {count} of {self.planned} planned faults came to their time"
            return Finding(self.name, Verdict.INVALID, summary)
        if unseen:
            summary = f"whether {len(unseen)} of {count} faults bit could not be seen"
            return Finding(self.name, Verdict.UNKNOWN, summary, evidence=evidence)
        summary = f"all {count} faults bit and were healed" if count else "no fault was planned"
        return Finding(self.name, Verdict.PASS, summary, value=count)


def _details(fault: FaultRecord, history: History) -> dict[str, float | str | None]:
    return {
        "fault": fault.fault,
        "at_s": round((fault.at_ns - history.start_ns) / NS_PER_S, 3),
        "healed_s": None
        if fault.healed_ns is None
        else round((fault.healed_ns - history.start_ns) / NS_PER_S, 3),
    }
