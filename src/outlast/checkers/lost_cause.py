"""Why an acknowledged write is gone, and where its row still lies, as far as a history can tell.

    sync-wait-cancelled     the server warned that the commit was local only, and reported success
    synchronous_commit-off  it is off, or local: a standby was there to be waited for, and no commit waited
    async                   no standby was to be waited for
    fsync-off               nothing was synced to the disks, and some of them lost their power after it
    rewound                 a standby was waited for, and yet the survivors' timeline had branched off before it
    removed                 its timeline survived: something took the row away
    unknown                 what the server waited for was not seen, or which timeline it served

What a primary waits for is observed during the run (``NodeObservation.durability``), about ten times a second, so an
ack within a tenth of a second of a change of that setting may be put down to the setting before. A client's own
``SET synchronous_commit`` is not seen.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from typing import Final

import numpy as np

from outlast.checkers.writes import found_in
from outlast.history.history import POWER_LOSS, History, NodeObservation
from outlast.history.op import Outcome

CAUSES: Final = {
    "sync-wait-cancelled": "the wait for its standby was cancelled, so that it was safe on one node only",
    "synchronous_commit-off": "the server waited for no standby, since synchronous_commit was off or local",
    "async": "the server waited for no standby: replication was asynchronous",
    "fsync-off": "it was on no disk: fsync was off, and power was lost before it got there by itself",
    "rewound": "a standby was waited for, but the timeline that survived had branched off before it",
    "removed": "its timeline survived, so something removed it",
    "unknown": "what the server waited for was not observed",
}
"""Each cause, as a sentence's end."""

_ANY: Final = ""
"""Whichever node was seen to take writes."""

_BY_DURABILITY: Final = {"off": "synchronous_commit-off", "local": "synchronous_commit-off", "async": "async"}


class LostCause:
    """Tells the causes of one history's losses. workload: whose final read."""

    def __init__(self, history: History, workload: str) -> None:
        self._history = history
        self._workload = workload
        self._durability: dict[str, tuple[list[int], list[NodeObservation]]] = {}
        for seen in history.observations:
            if seen.source == "node" and seen.durability:
                for node in (seen.node, _ANY):
                    times, values = self._durability.setdefault(node, ([], []))
                    times.append(seen.at_ns)
                    values.append(seen)
        self._power_lost_ns = max((one.at_ns for one in history.faults if one.fault == POWER_LOSS), default=0)

    def of(self, op: int) -> str:
        """Return the cause, one of CAUSES, of the loss of op number op."""
        ops = self._history.ops
        if ops.outcome[op] == int(Outcome.LOCAL):
            return "sync-wait-cancelled"
        branched = self.branched_before(op)
        served = self._served(op)
        waited = "" if served is None else _BY_DURABILITY.get(served.durability, "")
        is_unsynced = served is not None and not served.synced
        if is_unsynced and int(ops.complete_ns[op]) <= self._power_lost_ns and not (branched and waited):
            return "fsync-off"
        if not branched and self._survived(op):
            return "removed"
        return waited or ("rewound" if branched else "unknown")

    def _served(self, op: int) -> NodeObservation | None:
        """Return what the node that served an op showed by then; for an unknown node, whoever took writes."""
        ops = self._history.ops
        times, values = self._durability.get(ops.node_name(op) or _ANY, ([], []))
        place = bisect_right(times, int(ops.complete_ns[op])) - 1
        return values[place] if place >= 0 else None

    def counted(self, ops: Iterable[int]) -> str:
        """Return the causes of many losses in words: ``async (12), rewound (1)``."""
        counts = Counter(self.of(op) for op in ops)
        return ", ".join(f"{cause} ({count})" for cause, count in counts.most_common())

    def branched_before(self, op: int) -> tuple[int, int] | None:
        """Return the (timeline, LSN) at which the survivors left an op's timeline, if that is before the op."""
        timeline, lsn = int(self._history.ops.timeline[op]), int(self._history.ops.lsn[op])
        starts = sorted(self._history.final.timeline_starts) if self._history.final is not None else []
        left = next((start for start in starts if start[0] > timeline > 0), None)
        return left if left is not None and left[1] < lsn else None

    def _survived(self, op: int) -> bool:
        """Whether the op's timeline is, up to the op, part of the survivors' history.

        A client that knows no timeline is no evidence of one.
        """
        final, timeline = self._history.final, int(self._history.ops.timeline[op])
        if final is None or timeline == 0:
            return False
        return timeline in {final.timeline, *(start[0] for start in final.timeline_starts)}

    def where(self, op: int) -> str:
        """Return, as a clause, where the row of a lost write still lies."""
        ops, final = self._history.ops, self._history.final
        node = ops.node_name(op)
        assert final is not None
        holders = [
            name
            for name, values in final.strays.items()
            if self._workload in values
            and found_in(np.sort(values[self._workload]), ops.value[op : op + 1]).all()
        ]
        if holders:
            return f"its row still lies on {', '.join(holders)}"
        away = [name for name in final.missing if name not in final.strays]
        if node in away:
            return f"its row may still lie on {node}, which did not come back"
        if away:
            return f"its row is on no node that answers; {', '.join(away)} did not"
        return "its row lies on no node any more"
