"""The result of a check as it is stored, printed and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.transactions.glossary import meaning
from outlast.history.history import JSON


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found, as reports show it: see Finding. margin: how far the value is from its limit."""

    name: str
    verdict: Verdict
    summary: str
    value: JSON = None
    limit: JSON = None
    margin: float | None = None
    anomalies: Mapping[str, int] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    elapsed_s: float = 0.0
    consistency: str = ""

    @property
    def explained(self) -> dict[str, str]:
        """What the anomalies that were found mean, by name."""
        return {name: words for name in self.anomalies if (words := meaning(name))}

    @property
    def allowed(self) -> str:
        """The sentence that belongs beside the anomalies of a pass; "" without any."""
        if self.verdict is not Verdict.PASS or not self.anomalies:
            return ""
        return f"all of them are allowed {'at ' + self.consistency if self.consistency else 'here'}"

    @classmethod
    def of(cls, finding: Finding) -> CheckResult:
        """Return a checker's finding as a result."""
        return cls(
            finding.name,
            finding.verdict,
            finding.summary,
            finding.value,
            finding.limit,
            finding.margin,
            finding.anomalies,
            finding.evidence,
            round(finding.elapsed_s, 6),
            finding.consistency,
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> CheckResult:
        """Return a result as it was stored; what older versions did not store is as if there were none of it.

        Raises KeyError, ValueError for what is no result.
        """
        return cls(
            document["name"],
            Verdict(document["verdict"]),
            document["summary"],
            document.get("value"),
            document.get("limit"),
            document.get("margin"),
            dict(document.get("anomalies", {})),
            tuple(
                Evidence(piece["message"], tuple(piece["ops"]), piece["details"])
                for piece in document.get("evidence", ())
            ),
            document.get("elapsed_s", 0.0),
            document.get("consistency", ""),
        )

    def to_document(self) -> dict[str, JSON]:
        """Return it as it is stored and printed."""
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "summary": self.summary,
            "value": self.value,
            "limit": self.limit,
            "margin": self.margin,
            "anomalies": dict(self.anomalies),
            "evidence": [
                {"message": piece.message, "ops": list(piece.ops), "details": dict(piece.details)}
                for piece in self.evidence
            ],
            "elapsed_s": self.elapsed_s,
            "consistency": self.consistency,
            "explained": dict(self.explained),
        }


def finding_document(finding: Finding) -> dict[str, JSON]:
    """Return a finding as a JSON document."""
    return CheckResult.of(finding).to_document()
