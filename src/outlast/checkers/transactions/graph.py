"""Dependency graphs of transactions, as arrays of edges.

Nodes 0 … n − 1 are transactions. Further nodes only pass on: a *barrier* stands for a moment of real time, a
*relay* for "all of these". They keep the graph linear in the history where plain edges would be quadratic.
The edge that enters one says what kind of dependency it is; edges that leave one are STEPs of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from outlast.checkers.transactions.consistency import VARIANTS
from outlast.history.op import I64, Outcome
from outlast.history.txn import Txns

WW: Final = 1
"""The later transaction overwrote what the earlier one wrote."""
WR: Final = 2
"""The later one read what the earlier one wrote."""
RW: Final = 4
"""The later one overwrote what the earlier one read: an anti-dependency."""
PROCESS: Final = 8
"""The same client ran one after the other."""
REALTIME: Final = 16
"""One was acknowledged before the other was invoked."""
STEP: Final = 32
"""Goes on with the edge before it."""

_FEW: Final = 48
"""Nodes of a graph that is small."""

KIND_NAMES: Final = {WW: "ww", WR: "wr", RW: "rw", PROCESS: "process", REALTIME: "realtime"}
VARIANT_KINDS: Final = dict(zip(VARIANTS, (0, PROCESS, REALTIME), strict=True))

I32Array = npt.NDArray[np.int32]
U8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Graph:
    """n_txns transactions, n_nodes nodes in all; edges src → dst of a kind. A kind may be RW | REALTIME: an
    anti-dependency that is known by real time only."""

    n_txns: int
    n_nodes: int
    src: I32Array
    dst: I32Array
    kind: U8Array

    def only(self, kinds: int) -> Graph:
        """Return the graph with only edges whose kind is within kinds."""
        keep = (self.kind & ~np.uint8(kinds)) == 0
        return Graph(self.n_txns, self.n_nodes, self.src[keep], self.dst[keep], self.kind[keep])


@dataclass(slots=True)
class GraphBuilder:
    """Collects edges."""

    n_txns: int
    n_nodes: int = -1
    _src: list[I32Array] = field(default_factory=list)
    _dst: list[I32Array] = field(default_factory=list)
    _kind: list[U8Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.n_nodes = self.n_txns

    def nodes(self, count: int) -> int:
        """Add nodes that pass on; return the first."""
        self.n_nodes += count
        return self.n_nodes - count

    def add(self, src: npt.ArrayLike, dst: npt.ArrayLike, kind: int) -> None:
        """Add edges; those from a node to itself are dropped."""
        source, target = np.asarray(src, dtype=np.int32), np.asarray(dst, dtype=np.int32)
        keep = source != target
        self._src.append(source[keep])
        self._dst.append(target[keep])
        self._kind.append(np.full(int(keep.sum()), kind, dtype=np.uint8))

    def add_all_pairs(self, src: list[int], dst: list[int], kind: int) -> None:
        """Add an edge from each of src to each of dst but itself, in O(len(src) + len(dst)).

        Relays P₀ … reach dst[0 … i], relays S₀ … reach dst[i …]; a source that is dst[i] itself enters
        both sides of it. dst holds each transaction once.
        """
        if len(src) * len(dst) <= 4 * (len(src) + len(dst)):
            self.add(np.repeat(src, len(dst)), np.tile(dst, len(src)), kind)
            return
        m = len(dst)
        prefix, suffix = self.nodes(m), self.nodes(m)
        steps = np.arange(m)
        self.add(prefix + steps, dst, STEP)
        self.add(suffix + steps, dst, STEP)
        self.add(prefix + steps[1:], prefix + steps[:-1], STEP)
        self.add(suffix + steps[:-1], suffix + steps[1:], STEP)
        place = {txn: index for index, txn in enumerate(dst)}
        edges: list[tuple[int, int]] = []
        for source in set(src):
            index = place.get(source)
            if index is None:
                edges.append((source, prefix + m - 1))
                continue
            if index > 0:
                edges.append((source, prefix + index - 1))
            if index < m - 1:
                edges.append((source, suffix + index + 1))
        if edges:
            sources, relays = zip(*edges, strict=True)
            self.add(sources, relays, kind)

    def graph(self) -> Graph:
        """Return all edges."""
        empty = np.zeros(0, dtype=np.int32)
        return Graph(
            self.n_txns,
            self.n_nodes,
            np.concatenate([empty, *self._src]),
            np.concatenate([empty, *self._dst]),
            np.concatenate([empty.astype(np.uint8), *self._kind]),
        )


def process_order(txns: Txns) -> tuple[I64, I64]:
    """Return (earlier, later) of each process: each transaction after the last acknowledged one before it.

    What was not acknowledged may take effect at any later time: nothing comes after it. O(n log n).
    """
    possible = np.flatnonzero((txns.outcome != int(Outcome.FAIL)) & (txns.process >= 0))
    order = possible[np.lexsort((txns.invoke_pos[possible], txns.process[possible]))]
    acked = txns.outcome[order] == int(Outcome.OK)
    last = np.maximum.accumulate(np.where(acked, np.arange(len(order)), -1))
    before, after = last[:-1], np.arange(1, len(order))
    same = (before >= 0) & (txns.process[order[before]] == txns.process[order[1:]])
    return order[before[same]], order[after[same]]


def add_process_order(builder: GraphBuilder, txns: Txns) -> None:
    """Order the transactions of each process. O(n log n)."""
    builder.add(*process_order(txns), PROCESS)


def add_real_time(builder: GraphBuilder, txns: Txns) -> None:
    """Order each acknowledged transaction before all that were invoked after its acknowledgement.

    Completions that follow each other without an invocation between share a barrier; barriers are chained.
    At most 3 n edges. O(n log n).
    """
    acked = np.flatnonzero(txns.outcome == int(Outcome.OK))
    possible = np.flatnonzero(txns.outcome != int(Outcome.FAIL))
    positions = np.concatenate([txns.complete_pos[acked], txns.invoke_pos[possible]])
    order = np.argsort(positions, kind="stable")
    is_completion = order < len(acked)
    begins = is_completion.copy()
    begins[1:] &= ~is_completion[:-1]
    barrier = np.cumsum(begins) - 1  # of an invocation: the last one before it, −1 for none
    count = int(barrier[-1]) + 1 if len(barrier) else 0
    if count == 0:
        return
    first = builder.nodes(count)
    chain = np.arange(first, first + count)
    builder.add(acked[order[is_completion]], first + barrier[is_completion], REALTIME)
    builder.add(chain[:-1], chain[1:], STEP)
    after = ~is_completion & (barrier >= 0)
    builder.add(first + barrier[after], possible[order[after] - len(acked)], STEP)


def components(n_nodes: int, src: I32Array, dst: I32Array) -> I64:
    """Return the strongly connected component of each node. O(nodes + edges). Source:
    scipy.sparse.csgraph."""
    if not len(src):
        return np.arange(n_nodes, dtype=np.int64)
    if n_nodes <= _FEW:
        return _few_components(n_nodes, src, dst)

    from scipy.sparse import csr_matrix  # here: half a second, and most runs have no transactions
    from scipy.sparse.csgraph import connected_components

    matrix = csr_matrix((np.ones(len(src)), (src, dst)), shape=(n_nodes, n_nodes))
    _, labels = connected_components(matrix, directed=True, connection="strong")
    return np.asarray(labels, dtype=np.int64)


def _few_components(n_nodes: int, src: I32Array, dst: I32Array) -> I64:
    """Do the same for a small graph, sooner than a matrix is made. O(nodes²)."""
    reached = [1 << node for node in range(n_nodes)]  # by node, from where, as bits
    reaches = reached.copy()
    for first, then in zip(src.tolist(), dst.tolist(), strict=True):
        reaches[first] |= 1 << then
    for middle in range(n_nodes):
        for node in range(n_nodes):
            if reaches[node] >> middle & 1:
                reaches[node] |= reaches[middle]
    for node in range(n_nodes):
        for other in range(n_nodes):
            if reaches[other] >> node & 1:
                reached[node] |= 1 << other
    both = [ahead & back for ahead, back in zip(reaches, reached, strict=True)]
    return np.array([(mask & -mask).bit_length() - 1 for mask in both], dtype=np.int64)


def cyclic_part(graph: Graph) -> tuple[Graph, I64]:
    """Return the edges that lie on some cycle, and each node's component, −1 for nodes on no cycle."""
    labels = components(graph.n_nodes, graph.src, graph.dst)
    cyclic = np.bincount(labels, minlength=1) > 1
    keep = (labels[graph.src] == labels[graph.dst]) & cyclic[labels[graph.src]]
    inner = Graph(graph.n_txns, graph.n_nodes, graph.src[keep], graph.dst[keep], graph.kind[keep])
    return inner, np.where(cyclic[labels], labels, -1)
