"""Ids that are handed out once only. Source: Jepsen checker.clj, unique-ids."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.values import acked, nothing_to_judge, value_of
from outlast.history.history import History


@dataclass(frozen=True, slots=True)
class UniqueIds:
    """No two acknowledged ``generate`` ops return the same id."""

    @property
    def name(self) -> str:
        """``unique_ids``."""
        return "unique_ids"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history. The deadline is not needed. O(n)."""
        ops = history.ops
        if (nothing := nothing_to_judge(self.name, ops)) is not None:
            return nothing
        holders: dict[str, list[int]] = defaultdict(list)
        for index in acked(ops, "generate").tolist():
            holders[json.dumps(value_of(ops, index))].append(index)
        twice = {text: members for text, members in holders.items() if len(members) > 1}
        if not twice:
            return Finding(self.name, Verdict.PASS, f"{len(holders)} ids, all different", value=0, limit=0)
        evidence = tuple(
            Evidence(f"id {text} was handed out {len(members)} times", ops=tuple(members[:8]))
            for text, members in list(twice.items())[:8]
        )
        return Finding(
            self.name,
            Verdict.FAIL,
            f"{len(twice)} ids were handed out more than once, {next(iter(twice))} among them",
            value=len(twice),
            limit=0,
            anomalies={"duplicate-id": len(twice)},
            evidence=evidence,
        )
