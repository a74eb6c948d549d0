"""Finds and names cycles in dependency graphs.

First, in linear time, which components hold which family of cycles: a ww cycle lies in a component of the ww
edges alone; a cycle without adjacent anti-dependencies lies in a component of the graph in which one may not
go on by rw after arriving by rw. Then, component by component, one short witness of each kind is searched,
breadth first, worst kind first; kinds that a found one implies are skipped. So counts are of components, as
in Elle. Sources: Adya (1999), chapter 4; Elle, txn.clj; the state-graph for nonadjacent cycles is its
:extension idea.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from outlast.checkers.transactions.consistency import VARIANTS, implied_by
from outlast.checkers.transactions.graph import (
    PROCESS,
    REALTIME,
    RW,
    STEP,
    VARIANT_KINDS,
    WR,
    WW,
    Graph,
    components,
    cyclic_part,
)
from outlast.history.op import I64, Mask

_SEARCH_NODES = 400_000
"""Nodes that the breadth-first searches for one kind in one component may visit together."""
_LANDINGS = 64
"""Transactions behind one relay that are tried."""
_WITNESSES = 3
"""Witnesses of one kind in one component, of which the shortest is kept."""
_DATA = WW | WR


@dataclass(frozen=True, slots=True)
class CycleWitness:
    """A witness. name: for example ``G-single-process``. steps: (transaction, kind of edge to the next)."""

    name: str
    steps: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Cycles:
    """counts: components by kind of cycle. witnesses: a few of each. unfinished: why the search ended early."""

    counts: dict[str, int] = field(default_factory=dict)
    witnesses: dict[str, list[CycleWitness]] = field(default_factory=dict)
    unfinished: str | None = None

    def add(self, cycle: CycleWitness, shown: int) -> None:
        """Count a cycle and keep it if few are kept."""
        self.counts[cycle.name] = self.counts.get(cycle.name, 0) + 1
        kept = self.witnesses.setdefault(cycle.name, [])
        if len(kept) < shown:
            kept.append(cycle)


def find_cycles(graph: Graph, deadline: int, shown: int) -> Cycles:
    """Return the kinds of cycles in a graph, a few witnesses of each, until the monotonic deadline (ns).

    Linear when there is none; else bounded by the deadline. A component whose kind could not be told in time
    is counted under the weakest that it surely has.
    """
    cycles = Cycles()
    inner, component = cyclic_part(graph)
    if not len(inner.src):
        return cycles
    adjacency = _Adjacency(inner)
    implied: dict[int, set[str]] = {}
    for variant in VARIANTS:
        kinds = VARIANT_KINDS[variant]
        for base, starts in _candidates(inner, kinds):
            if not len(starts):
                continue
            name = base + variant
            owner = component[inner.src[starts]]
            order = np.argsort(owner, kind="stable")
            groups = np.split(starts[order], np.flatnonzero(np.diff(owner[order])) + 1)
            for group in groups:
                if time.monotonic_ns() > deadline:
                    cycles.unfinished = f"the deadline passed while looking for {name}"
                    return _at_least(cycles, inner, component, implied)
                home = int(component[inner.src[group[0]]])
                known = implied.setdefault(home, set())
                if name in known:
                    continue
                cycle = _witness(adjacency, inner, base, kinds, group)
                if cycle is not None and cycle.name not in known:
                    cycles.add(cycle, shown)
                    known |= implied_by(cycle.name) | {cycle.name}
                elif cycle is None and base != "G-single":
                    # The component shows that there is one, or a worse one; only its members were not found in time.
                    cycles.counts[name] = cycles.counts.get(name, 0) + 1
                    known |= implied_by(name) | {name}
    return _at_least(cycles, inner, component, implied)


def _at_least(cycles: Cycles, inner: Graph, component: I64, implied: dict[int, set[str]]) -> Cycles:
    """Count components in which no cycle could be named: that they are cyclic is certain."""
    nameless = [home for home in np.unique(component[inner.src]).tolist() if not implied.get(home)]
    if nameless:
        kinds = int(np.bitwise_or.reduce(inner.kind[np.isin(component[inner.src], nameless)]))
        variant = "-realtime" if kinds & REALTIME else "-process" if kinds & PROCESS else ""
        name = ("G2-item" if kinds & RW else "G1c" if kinds & WR else "G0") + variant
        cycles.counts[name] = cycles.counts.get(name, 0) + len(nameless)
        cycles.unfinished = (
            cycles.unfinished or f"{len(nameless)} cyclic components were not searched to the end"
        )
    return cycles


def _candidates(graph: Graph, extra: int) -> Iterator[tuple[str, I64]]:
    """Yield, for each kind of cycle, the edges from which its witness can start. extra: PROCESS, REALTIME or 0."""
    kind = graph.kind
    plain = _core(kind)
    writes = graph.only(WW | extra | STEP)
    yield "G0", _inside(graph, writes, plain == WW)
    yield "G1c", _inside(graph, graph.only(_DATA | extra | STEP), plain == WR)
    allowed = (kind & ~np.uint8(_DATA | RW | extra | STEP)) == 0
    nonadjacent = _nonadjacent(graph, extra)
    yield "G-single", nonadjacent
    yield "G-nonadjacent", nonadjacent
    yield "G2-item", _inside(graph, graph.only(_DATA | RW | extra | STEP), allowed & (kind & RW > 0))


def _core(kind: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return kind & np.uint8(_DATA | RW)


def _inside(graph: Graph, part: Graph, wanted: Mask) -> I64:
    """Return the wanted edges of graph whose ends share a component of part."""
    labels = components(part.n_nodes, part.src, part.dst)
    return np.flatnonzero(wanted & (labels[graph.src] == labels[graph.dst]))


def _nonadjacent(graph: Graph, extra: int) -> I64:
    """Return the rw edges that lie on a closed walk without two rw edges in a row.

    Each node has two states: arrived by rw (even after steps), or by anything else.
    """
    allowed = (graph.kind & ~np.uint8(_DATA | RW | extra | STEP)) == 0
    n = graph.n_nodes
    is_rw = (graph.kind & RW) > 0
    step = graph.kind == STEP
    other = allowed & ~is_rw & ~step
    src = np.concatenate(
        [
            graph.src[other],
            graph.src[other] + n,
            graph.src[allowed & is_rw],
            graph.src[step],
            graph.src[step] + n,
        ]
    )
    dst = np.concatenate(
        [
            graph.dst[other],
            graph.dst[other],
            graph.dst[allowed & is_rw] + n,
            graph.dst[step],
            graph.dst[step] + n,
        ]
    )
    labels = components(2 * n, src, dst)
    return np.flatnonzero(allowed & is_rw & (labels[graph.src] == labels[graph.dst + n]))


class _Adjacency:
    """Out-edges by node, as lists: what a breadth-first search in Python wants."""

    def __init__(self, graph: Graph) -> None:
        order = np.lexsort((graph.kind, graph.src))  # data dependencies before process and real time
        self.n_txns = graph.n_txns
        self.budget = _SEARCH_NODES
        self.first = np.searchsorted(graph.src[order], np.arange(graph.n_nodes + 1)).tolist()
        self.dst: list[int] = graph.dst[order].tolist()
        self.kind: list[int] = graph.kind[order].tolist()

    def path(
        self, start: tuple[int, int], goal: int, kinds: int, *, nonadjacent: bool, avoid: int
    ) -> list[tuple[int, int]] | None:
        """Return the shortest way as (node, kind of the edge into it), from after start to goal; None if none.

        start: (node, kind of the edge into it). kinds: of edges that may be used. nonadjacent: never RW after
        RW. avoid: a node not to pass, −1 for none.
        """
        if start[0] == goal:
            return []
        first, dst, kind = self.first, self.dst, self.kind
        begin = (start[0], start[1] & RW if nonadjacent else 0)
        came: dict[tuple[int, int], tuple[tuple[int, int], int]] = {begin: (begin, 0)}
        queue = deque([begin])
        while queue and self.budget > 0:
            state = queue.popleft()
            self.budget -= 1
            node, after_rw = state
            for edge in range(first[node], first[node + 1]):
                label, target = kind[edge], dst[edge]
                if label & ~kinds or target == avoid:
                    continue
                arrives = 0
                if nonadjacent:
                    if label & RW and after_rw:
                        continue
                    arrives = after_rw if label == STEP else label & RW
                    if target == goal and arrives:
                        continue  # the walk begins with an rw edge at goal
                following = (target, arrives)
                if following in came:
                    continue
                came[following] = (state, label)
                if target == goal:
                    return self._way_back(came, begin, following)
                queue.append(following)
        return None

    @staticmethod
    def _way_back(
        came: dict[tuple[int, int], tuple[tuple[int, int], int]], begin: tuple[int, int], end: tuple[int, int]
    ) -> list[tuple[int, int]]:
        way = []
        while end != begin:
            before, label = came[end]
            way.append((end[0], label))
            end = before
        return way[::-1]


def _witness(adjacency: _Adjacency, graph: Graph, base: str, extra: int, starts: I64) -> CycleWitness | None:
    """Return a cycle of the kind through one of these edges, or None."""
    data = {"G0": WW, "G1c": _DATA}.get(base, _DATA)
    # Some edge of a cycle goes back in time, mostly an rw edge: the further back, the likelier.
    target = np.minimum(graph.dst[starts], graph.n_txns - 1).astype(np.int64)
    starts = starts[np.argsort(target - graph.src[starts], kind="stable")]
    adjacency.budget = _SEARCH_NODES
    shortest: CycleWitness | None = None
    tried = 0
    for edge in starts.tolist():
        if adjacency.budget <= 0:
            break
        adjacency.budget -= 1
        u, v, label = int(graph.src[edge]), int(graph.dst[edge]), int(graph.kind[edge])
        if base == "G2-item":
            cycle = _adjacent_pair(adjacency, u, v, label, extra)
        else:
            kinds = data | extra | STEP | (RW if base == "G-nonadjacent" else 0)
            way = adjacency.path((v, label), u, kinds, nonadjacent=base == "G-nonadjacent", avoid=-1)
            cycle = None if way is None else _named(adjacency, u, [(v, label), *way])
        # A search for nonadjacent ones may end with a single rw edge that an earlier, bounded search missed.
        if cycle is not None and (cycle.name.startswith(base) or base == "G-nonadjacent"):
            tried += 1
            if shortest is None or len(cycle.steps) < len(shortest.steps):
                shortest = cycle
            if len(shortest.steps) <= 3 or tried == _WITNESSES:
                break
    return shortest


def _adjacent_pair(adjacency: _Adjacency, u: int, v: int, label: int, extra: int) -> CycleWitness | None:
    """Return a cycle that begins with the rw edge u → v and another rw edge from v."""
    kinds = _DATA | RW | extra | STEP
    landing = [(v, [(v, label)])]
    while landing and landing[-1][0] >= adjacency.n_txns:  # through relays to a transaction
        node, way = landing.pop()
        landing += [
            (adjacency.dst[edge], [*way, (adjacency.dst[edge], adjacency.kind[edge])])
            for edge in range(adjacency.first[node], adjacency.first[node + 1])
        ]
        if len(landing) > _LANDINGS:
            break
    for node, way in landing:
        if node >= adjacency.n_txns or node == u:
            continue
        for edge in range(adjacency.first[node], adjacency.first[node + 1]):
            second = adjacency.kind[edge]
            if not second & RW or second & ~kinds:
                continue
            target = adjacency.dst[edge]
            rest = adjacency.path((target, second), u, kinds, nonadjacent=False, avoid=node)
            if rest is not None:
                cycle = _named(adjacency, u, [*way, (target, second), *rest])
                if cycle is not None and cycle.name.startswith("G2-item"):
                    return cycle
    return None


def _named(adjacency: _Adjacency, start: int, way: list[tuple[int, int]]) -> CycleWitness | None:
    """Return the cycle from start along way back to start, relays left out; None when it meets itself."""
    steps: list[tuple[int, int]] = []
    node, label = start, 0
    for target, kind in way:
        label |= kind & ~STEP
        if target < adjacency.n_txns:
            steps.append((node, label))
            node, label = target, 0
    nodes = [each for each, _ in steps]
    if len(set(nodes)) < len(nodes) or len(nodes) < 2 or start >= adjacency.n_txns:
        return None
    return CycleWitness(classify([kind for _, kind in steps]), tuple(steps))


def classify(kinds: list[int]) -> str:
    """Return the name of a cycle with edges of these kinds. Source: Elle, txn.clj cycle-explainer."""
    is_rw = [bool(kind & RW) for kind in kinds]
    count = sum(is_rw)
    if count == 0:
        base = "G1c" if any(kind & WR for kind in kinds) else "G0"
    elif count == 1:
        base = "G-single"
    else:
        adjacent = any(here and there for here, there in zip(is_rw, is_rw[1:] + is_rw[:1], strict=True))
        base = "G2-item" if adjacent else "G-nonadjacent"
    merged = 0
    for kind in kinds:
        merged |= kind
    return base + ("-realtime" if merged & REALTIME else "-process" if merged & PROCESS else "")
