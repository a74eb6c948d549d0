"""Polls that saw what, by the order of real time or of each other, could not have been there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from outlast.history.op import NEVER, Ops


def reads_from_the_future(
    ops: Ops, edges: set[tuple[int, int]]
) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yield ``G1c``, ops that polled from each other in a circle, and ``G1c-realtime``, an op that depends on one that
    began after its end.

    edges: (op that sent, op that polled it). Longer circles through real time hold one of these. O(n + edges).
    """
    polled_by: dict[int, list[int]] = defaultdict(list)
    due: dict[int, int] = defaultdict(int)
    for sender, reader in edges:
        if sender != reader:
            polled_by[sender].append(reader)
            due[reader] += 1
    nodes = set(polled_by) | set(due)
    order = [node for node in nodes if not due[node]]
    for node in order:  # grows as its readers have no senders left
        for reader in polled_by[node]:
            due[reader] -= 1
            if not due[reader]:
                order.append(reader)
    circle = sorted(nodes - set(order))
    if circle:
        message = f"{len(circle)} ops polled from each other in a circle, or from ops that did"
        yield "G1c", message, tuple(circle[:8])
    soonest: dict[int, tuple[int, int]] = {}
    for node in reversed(order):
        ends = [(int(ops.complete_pos[reader]), reader) for reader in polled_by[node]]
        ends += [soonest[reader] for reader in polled_by[node] if reader in soonest]
        end, op = soonest[node] = min(ends, default=(int(NEVER), node))
        if end < int(ops.invoke_pos[node]):
            yield "G1c-realtime", f"op {op} had ended before op {node} began, and depends on it", (node, op)
