"""Replicas equal: at the end every node holds the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.writes import no_final_read, nothing_acknowledged
from outlast.history.history import NO_TABLE, FinalRead, History, NodeContent
from outlast.history.op import Outcome
from outlast.units import format_lsn


@dataclass(frozen=True, slots=True)
class ReplicasEqual:
    """Compares the content hash of every table on every node with the primary's.

    Anomalies: ``missing``, nodes that did not come back or did not catch up; ``behind``, nodes read before
    they had replayed the primary's last LSN; ``different``, tables that differ on a node.
    """

    name: ClassVar[str] = "replicas_equal"

    def check(self, history: History, deadline: int) -> Finding:
        """Return whether all are equal as value. O(nodes · tables).

        UNKNOWN without a final read, INVALID with fewer than two nodes, without any table that one of them has, or when
        nothing was acknowledged.
        """
        final = history.final
        if final is None:
            return no_final_read(self.name, True)
        missing = [_missing(node) for node in _absent(history, final)]
        behind = [_behind(content, final) for content in final.contents if content.lsn < final.lsn]
        different = _differences(final)
        counts = {"missing": len(missing), "behind": len(behind), "different": len(different)}
        anomalies = {name: count for name, count in counts.items() if count}
        if anomalies:
            said = ", ".join(f"{count} {name}" for name, count in anomalies.items())
            evidence = (*different, *behind, *missing)
            return Finding(
                self.name, Verdict.FAIL, f"the nodes do not agree: {said}", False, True, anomalies, evidence
            )
        if len(final.contents) < 2:
            return Finding(self.name, Verdict.INVALID, "fewer than two nodes to compare", limit=True)
        if all(told == NO_TABLE for content in final.contents for told in content.table_hashes.values()):
            return Finding(self.name, Verdict.INVALID, "no node has a table to compare", limit=True)
        if not history.ops.outcome_is(Outcome.OK).any():
            return nothing_acknowledged(self.name, True)
        rows = sum(final.contents[0].row_counts.values())
        said = f"{len(final.contents)} nodes hold the same {rows} rows at {format_lsn(final.lsn)}"
        return Finding(self.name, Verdict.PASS, said, value=True, limit=True)


def _absent(history: History, final: FinalRead) -> list[str]:
    """Return the nodes that should have been read and were not: named as missing, the primary, or seen in the run."""
    seen = {seen.node for seen in history.observations if seen.source == "node"} - set(final.removed)
    read = {content.node for content in final.contents}
    return [*final.missing, *sorted((seen | {final.primary}) - read - set(final.missing))]


def _missing(node: str) -> Evidence:
    return Evidence(f"{node} did not come back or did not catch up", (), {"node": node})


def _behind(content: NodeContent, final: FinalRead) -> Evidence:
    return Evidence(
        f"{content.node} was read at {format_lsn(content.lsn)}, before the primary's {format_lsn(final.lsn)}",
        (),
        {"node": content.node, "lsn": format_lsn(content.lsn)},
    )


def _differences(final: FinalRead) -> list[Evidence]:
    """Return one piece of evidence for each table of a node that is not as on the primary."""
    if not final.contents:
        return []
    reference = next((c for c in final.contents if c.node == final.primary), final.contents[0])
    differences = []
    for content in final.contents:
        for table in sorted(reference.table_hashes.keys() | content.table_hashes.keys()):
            if content.table_hashes.get(table) != reference.table_hashes.get(table):
                rows, expected = content.row_counts.get(table), reference.row_counts.get(table)
                message = (
                    f"{table} on {content.node} differs from {reference.node}: "
                    f"{'no such table' if rows is None else f'{rows} rows'} against "
                    f"{'none' if expected is None else expected}"
                )
                differences.append(Evidence(message, (), {"node": content.node, "table": table}))
    return differences
