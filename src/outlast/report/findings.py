"""Findings as documents: how they are stored, printed and read back."""

from __future__ import annotations

from outlast.checkers.base import Finding
from outlast.history.history import JSON


def finding_document(finding: Finding) -> dict[str, JSON]:
    """Return a finding as a JSON document."""
    return {
        "name": finding.name,
        "verdict": finding.verdict.value,
        "summary": finding.summary,
        "value": finding.value,
        "limit": finding.limit,
        "margin": finding.margin,
        "anomalies": dict(finding.anomalies),
        "evidence": [
            {"message": one.message, "ops": list(one.ops), "details": dict(one.details)}
            for one in finding.evidence
        ],
        "elapsed_s": round(finding.elapsed_s, 6),
    }
