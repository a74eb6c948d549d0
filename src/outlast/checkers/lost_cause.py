"""Why an acknowledged write is gone, and where its row still lies, as far as a history can tell.

    sync-wait-cancelled     the server warned that the commit was local only, and reported success
    synchronous_commit-off  it is off, or local: a standby was there to be waited for, and no commit waited
    async                   no standby was to be waited for
    rewound                 a standby was waited for, and yet the survivors' timeline had branched off before it
    removed                 its timeline survived: something took the row away
    unknown                 what the server waited for was not seen

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
from outlast.history.history import History
from outlast.history.op import Outcome

CAUSES: Final = {
    "sync-wait-cancelled": "the wait for its standby was cancelled, so that it was safe on one node only",
    "synchronous_commit-off": "the server waited for no standby, since synchronous_commit was off or local",
    "async": "the server waited for no standby: replication was asynchronous",
    "rewound": "a standby was waited for, but the timeline that survived had branched off before it",
    "removed": "its timeline survived, so something removed it",
    "unknown": "what the server waited for was not observed",
}
"""Each cause, as a sentence's end."""

_BY_DURABILITY: Final = {"off": "synchronous_commit-off", "local": "synchronous_commit-off", "async": "async"}


class LostCause:
    """Tells the causes of one history's losses. workload: whose final read."""

    def __init__(self, history: History, workload: str) -> None:
        self._history = history
        self._workload = workload
        self._durability: dict[str, tuple[list[int], list[str]]] = {}
        for seen in history.observations:
            if seen.source == "node" and seen.durability:
                times, values = self._durability.setdefault(seen.node, ([], []))
                times.append(seen.at_ns)
                values.append(seen.durability)

    def of(self, op: int) -> str:
        """Return the cause, one of CAUSES, of the loss of op number op."""
        ops = self._history.ops
        if ops.outcome[op] == int(Outcome.LOCAL):
            return "sync-wait-cancelled"
        if not self.branched_before(op) and self._survived(op):
            return "removed"
        times, values = self._durability.get(ops.node_name(op) or "", ([], []))
        place = bisect_right(times, int(ops.complete_ns[op])) - 1
        if place < 0:
            return "rewound" if self.branched_before(op) else "unknown"
        return _BY_DURABILITY.get(values[place], "rewound" if self.branched_before(op) else "unknown")

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
        """Whether the op's timeline is, up to the op, part of the survivors' history."""
        final = self._history.final
        if final is None:
            return False
        return int(self._history.ops.timeline[op]) in {
            final.timeline,
            *(start[0] for start in final.timeline_starts),
        }

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
