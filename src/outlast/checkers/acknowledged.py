"""A run in which nothing was acknowledged proves nothing, whatever else its checkers say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from outlast.checkers.base import Finding, Verdict
from outlast.checkers.writes import nothing_acknowledged
from outlast.history.history import History
from outlast.history.op import Outcome


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Counts what was acknowledged, by function and node."""

    name: ClassVar[str] = "acknowledged"

    def check(self, history: History, deadline: int) -> Finding:
        """Return the number of acknowledged ops as value; ``invalid`` when there is none. O(n)."""
        ops = history.ops
        ok = ops.outcome_is(Outcome.OK)
        if not ok.any():
            return nothing_acknowledged(self.name)
        by_function = {name: int((ok & ops.f_is(name)).sum()) for name in ops.f_names}
        by_node = {name: int((ok & (ops.node == code)).sum()) for code, name in enumerate(ops.node_names)}
        said = ", ".join(f"{count} {name}" for name, count in by_function.items() if count)
        where = ", ".join(f"{count} at {name}" for name, count in by_node.items() if count)
        return Finding(self.name, Verdict.PASS, f"{said}; {where or 'no node named'}", value=int(ok.sum()))
