"""Rows as acknowledged: each row of the soak's table holds, on every node, what the server last said it wrote there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.values import acked, attempted, list_of
from outlast.checkers.writes import EVIDENCE_MAX, no_final_read, nothing_acknowledged
from outlast.history.history import History
from outlast.history.op import I64, Outcome
from outlast.history.soak_rows import INSERT, NOT_OURS, ROW_FIELDS, ROWS, UPDATE, UPDATE_ROWS, row_name

_NOT_UPDATED: Final = 0


@dataclass(frozen=True, slots=True)
class _Known:
    """What was last acknowledged of a row. updated: by an acknowledged update. first: its state when it was inserted,
    None when that was not acknowledged."""

    number: int
    fixed: int
    state: int
    updated: bool
    first: int | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """What the final read found of a row. updated_us: when it says that it was updated, 0 never, −1 nonsense."""

    number: int
    fixed: int
    state: int
    updated_us: int


@dataclass(frozen=True, slots=True)
class RowsAsAcked:
    """Compares hashes of rows: those in the acknowledgements, those before each update, those of the final read.

    Anomalies: ``altered``, a row that holds what nobody acknowledged; ``foreign``, one that nobody wrote; ``stale``,
    one without its acknowledged update; ``missing``, one that is gone from a node. An update whose end is unknown may
    have taken up to UPDATE_ROWS rows that said INSERT, all at one moment; such rows are no anomaly. Nodes whose table
    hashes as the primary's are as the primary.
    """

    workload: str = INSERT
    limit: int = 0

    name: ClassVar[str] = "rows_as_acked"

    def check(self, history: History, deadline: int) -> Finding:
        """Return the number of wrong rows, over all nodes, as value. O(rows) time and memory.

        INVALID when nothing was acknowledged, UNKNOWN without a final read.
        """
        if not len(acked(history.ops, INSERT)):
            return nothing_acknowledged(self.name, self.limit)
        final = history.final
        if final is None or self.workload + ROWS not in final.values:
            return no_final_read(self.name, self.limit)
        known, evidence = _acknowledged(history)
        counts = Counter({"altered": len(evidence)})
        unknown = [
            index
            for index in attempted(history.ops, UPDATE).tolist()
            if history.ops.outcome[index] != int(Outcome.OK)
        ]
        possible = {
            int(history.ops.value[index])
            for index in attempted(history.ops, INSERT).tolist()
            if history.ops.outcome[index] != int(Outcome.OK)
        }
        held = {final.primary: final.values[self.workload + ROWS]}
        held |= {
            node: values[self.workload + ROWS]
            for node, values in final.strays.items()
            if self.workload + ROWS in values
        }
        primary = _rows(held[final.primary])
        alike = [
            content.node
            for content in final.contents
            if content.node not in held or content.node == final.primary
        ]
        for node, values in held.items():
            rows = primary if node == final.primary else _rows(values)
            nodes = ", ".join(alike or [node]) if node == final.primary else node
            judged = _Judge(nodes, rows, known, possible, len(unknown))
            found = judged.found(None if node == final.primary else primary)
            counts.update(kind for kind, _ in found)
            evidence += [content for _, content in found]
        total = sum(counts.values())
        said = f"{len(primary)} rows on {len(final.contents)} nodes, {total} of them not as acknowledged"
        if total:
            said += f": {evidence[0].message}"
        return Finding(
            self.name,
            Verdict.FAIL if total > self.limit else Verdict.PASS,
            said,
            value=total,
            limit=self.limit,
            anomalies={name: count for name, count in counts.items() if count},
            evidence=tuple(evidence[: 2 * EVIDENCE_MAX]),
        )


def _acknowledged(history: History) -> tuple[dict[int, _Known], list[Evidence]]:
    """Return what was last acknowledged of each row by id, and where an update found a row changed before it."""
    ops = history.ops
    known: dict[int, _Known] = {}
    broken = []
    for index in acked(ops, INSERT, UPDATE).tolist():
        told = list_of(ops, index)
        if ops.f_names[int(ops.f[index])] == INSERT:
            known[int(told[0])] = _Known(
                int(ops.value[index]), int(told[1]), int(told[2]), False, int(told[2])
            )
            continue
        for row_id, number, fixed, before, after in told:
            was = known.get(int(row_id))
            if was is not None and (was.number, was.fixed, was.state) != (
                int(number),
                int(fixed),
                int(before),
            ):
                place = ops.node_name(index) or "the primary"
                message = f"row {row_id} ({row_name(was.number)}) on {place} was changed"
                broken.append(_evidence(f"{message} between its insert and its update", int(row_id), ""))
            known[int(row_id)] = _Known(int(number), int(fixed), int(after), True, was.first if was else None)
    return known, broken


@dataclass(frozen=True, slots=True)
class _Judge:
    """One node's rows against what is known. node: its name, or the names of all that hold the same.

    possible: numbers of inserts whose end is unknown.
    """

    node: str
    rows: dict[int, _Row]
    known: dict[int, _Known]
    possible: set[int]
    unknown_updates: int

    def found(self, primary: dict[int, _Row] | None) -> list[tuple[str, Evidence]]:
        """Return what is wrong. primary: the primary's rows, for those that nothing was acknowledged of."""
        wrong: list[tuple[str, Evidence]] = []
        old: list[tuple[str, Evidence]] = []
        doubtful: dict[int, list[int]] = {}
        there: set[int] = set()
        for row_id, row in self.rows.items():
            was = self.known.get(row_id)
            if (
                was is None or was.first is None
            ):  # no insert of it was acknowledged, though perhaps an update was
                if row.number not in self.possible:
                    wrong.append(self._say("foreign", row_id, row.number, "was written by nobody"))
                    continue
                if row.number in there:
                    wrong.append(self._say("foreign", row_id, row.number, "is there twice"))
                    continue
                there.add(row.number)
            if was is None:
                if primary is not None and primary.get(row_id) != row:
                    wrong.append(self._say("altered", row_id, row.number, "is not as on the primary"))
            elif (row.number, row.fixed) != (was.number, was.fixed):
                wrong.append(
                    self._say("altered", row_id, was.number, "has another value or time of insertion")
                )
            elif row.state != was.state:
                if was.updated and row.state == was.first:
                    old.append(self._say("stale", row_id, was.number, "is as it was before its update"))
                elif was.updated or row.updated_us <= _NOT_UPDATED:
                    wrong.append(
                        self._say("altered", row_id, was.number, "has another type or time of update")
                    )
                else:
                    doubtful.setdefault(row.updated_us, []).append(row_id)
        wrong += self._unexplained(doubtful.values())
        wrong += old
        wrong += [
            self._say("missing", row_id, self.known[row_id].number, "is gone")
            for row_id in sorted(self.known.keys() - self.rows.keys())
        ]
        return wrong

    def _unexplained(self, groups: Iterable[list[int]]) -> list[tuple[str, Evidence]]:
        """Return rows that say UPDATE without an acknowledged one, but for those that an unknown one explains.

        An update takes the oldest rows that say INSERT, so none explains a row behind one that still does.
        """
        wrong = []
        left = self.unknown_updates
        oldest = min(
            (row_id for row_id, row in self.rows.items() if row_id in self.known and not row.updated_us),
            default=None,
        )
        for rows in groups:
            if left and len(rows) <= UPDATE_ROWS and (oldest is None or min(rows) < oldest):
                left -= 1
                continue
            wrong += [
                self._say("altered", row, self.known[row].number, "says UPDATE, and no update took it")
                for row in rows
            ]
        return wrong

    def _say(self, kind: str, row_id: int, number: int, what: str) -> tuple[str, Evidence]:
        name = row_name(number) if number != NOT_OURS else "no value of ours"
        return kind, _evidence(f"row {row_id} ({name}) on {self.node} {what}", row_id, self.node)


def _evidence(message: str, row_id: int, node: str) -> Evidence:
    return Evidence(message, (), {"row": row_id, "node": node})


def _rows(values: I64) -> dict[int, _Row]:
    table = values.reshape(-1, len(ROW_FIELDS)).tolist()
    return {row_id: _Row(*rest) for row_id, *rest in table}
