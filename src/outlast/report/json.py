"""A run as one JSON document: what ``drill --json`` prints. Other reports are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from outlast.history.history import JSON, FaultRecord, History
from outlast.history.op import Outcome
from outlast.history.store import RunDocument
from outlast.units import NS_PER_S

Document = dict[str, JSON]


def run_document(history: History, document: RunDocument, store: Path) -> Document:
    """Return a run as ``outlast drill --json`` prints it. O(ops)."""
    ops = history.ops
    counts = {outcome: int(ops.outcome_is(outcome).sum()) for outcome in Outcome}
    found = {str(finding["name"]): finding for finding in document.findings}
    outage = _details(found.get("outage"))
    return {
        "drill": document.name,
        "title": document.notes.get("title"),
        "system": document.system,
        "profile": document.profile,
        "sync": document.notes.get("sync"),
        "verdict": document.verdict,
        "seed": document.seed,
        "replay": document.replay,
        "store": str(store),
        "started": document.started,
        "duration_s": document.notes.get("duration_s"),
        "ops": {
            "invoked": len(ops),
            "ok": counts[Outcome.OK],
            "fail": counts[Outcome.FAIL],
            "info": counts[Outcome.INFO] + counts[Outcome.LOCAL],
            "local": counts[Outcome.LOCAL],
        },
        "acked": counts[Outcome.OK],
        "acked_lost": _value(found.get("lost_writes") or found.get("restorable")),
        "outage_s": _value(found.get("outage")),
        "outage": {name: outage.get(name) for name in ("detect_s", "promote_s", "route_s")},
        "model": {"outage_s": document.notes.get("model_s"), "reason": document.notes.get("model")},
        "availability": outage.get("availability"),
        "two_writers_s": _value(found.get("split_brain")),
        "replicas_equal": _value(found.get("replicas_equal")),
        "rejoin_s": document.notes.get("rejoin_s"),
        "plan": [dict(step) for step in document.plan],
        "faults": [_fault(fault, history) for fault in history.faults],
        "checks": [dict(finding) for finding in document.findings],
        **({"soak": document.notes["soak"]} if "soak" in document.notes else {}),
    }


def _fault(fault: FaultRecord, history: History) -> Document:
    def since_start(at_ns: int) -> float:
        return round((at_ns - history.start_ns) / NS_PER_S, 3)

    return {
        "fault": fault.fault,
        "targets": list(fault.targets),
        "params": dict(fault.params),
        "planned_s": since_start(fault.planned_ns),
        "at_s": since_start(fault.at_ns),
        "healed_s": None if fault.healed_ns is None else since_start(fault.healed_ns),
        "effective": fault.effective,
        "evidence": fault.evidence,
        "means": list(fault.means),
    }


def _value(finding: Mapping[str, JSON] | None) -> JSON:
    return None if finding is None else finding["value"]


def _details(finding: Mapping[str, JSON] | None) -> Mapping[str, JSON]:
    """Return the figures of a finding's first piece of evidence."""
    evidence = finding["evidence"] if finding is not None else None
    if not isinstance(evidence, list) or not evidence or not isinstance(evidence[0], dict):
        return {}
    details = evidence[0].get("details")
    return details if isinstance(details, dict) else {}
