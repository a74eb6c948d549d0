"""When a cluster may be busy with a fault: what happens outside these windows is nobody's fault but the cluster's."""

from __future__ import annotations

from typing import Final

import numpy as np

from outlast.history.history import History
from outlast.history.op import I64, Mask
from outlast.units import NS_PER_S

SETTLE_MAX_S: Final = 30.0
"""How long after a fault's healing its window may last at most, while standbys catch up."""

Window = tuple[int, int]


def fault_windows(history: History) -> tuple[Window, ...]:
    """Return (start, end) in ns of each fault: from its start to its healing, or the load's end. O(faults)."""
    return tuple(
        (fault.started_ns, history.end_ns if fault.healed_ns is None else fault.healed_ns)
        for fault in history.faults
    )


def recovery_windows(history: History, lag_max_s: float) -> tuple[Window, ...]:
    """Return the faults' windows, each lasting until every standby seen streams within lag_max_s again.

    At the longest SETTLE_MAX_S after the healing. O(faults · observations).
    """
    return tuple((start, _settled(history, end, lag_max_s)) for start, end in fault_windows(history))


def _settled(history: History, healed_ns: int, lag_max_s: float) -> int:
    latest_ns = healed_ns + int(SETTLE_MAX_S * NS_PER_S)
    late: set[str] = set()
    wanted = {seen.node for seen in history.observations if seen.source == "replication"}
    streaming: set[str] = set()
    for seen in history.observations:
        if seen.source != "replication" or seen.at_ns < healed_ns:
            continue
        if seen.at_ns > latest_ns:
            break
        if seen.state == "streaming" and (seen.replay_lag_s or 0.0) <= lag_max_s:
            streaming.add(seen.node)
            late.discard(seen.node)
        else:
            late.add(seen.node)
        # The primary says nothing of itself: all but one are enough.
        if len(streaming) >= len(wanted) - 1 and not late:
            return seen.at_ns
    return min(latest_ns, max(history.end_ns, healed_ns))


def outside(moments: I64, windows: tuple[Window, ...]) -> Mask:
    """Return which moments (ns) are in none of the windows. O(moments · windows)."""
    mask = np.ones(len(moments), dtype=np.bool_)
    for start, end in windows:
        mask &= (moments < start) | (moments > end)
    return mask
