"""Cycles are named as brute force names them, correct stores are spared, levels follow the table."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.checkers.transactions.check import ListAppend, RwRegister
from outlast.checkers.transactions.consistency import LEVELS, PROSCRIBED, implied_by, ruled_out, strongest
from outlast.checkers.transactions.cycles import classify, find_cycles
from outlast.checkers.transactions.graph import (
    PROCESS,
    REALTIME,
    RW,
    STEP,
    WR,
    WW,
    Graph,
    GraphBuilder,
    add_process_order,
    add_real_time,
)
from outlast.checkers.transactions.list_append import AppendHistory
from outlast.checkers.transactions.observed import Anomalies
from outlast.checkers.transactions.rw_register import RegisterHistory
from outlast.clock import deadline_ns
from outlast.history.formats.events import EventPairer
from outlast.history.history import History
from outlast.history.op import NEVER, Ops, Outcome
from outlast.history.sketch import sketch
from outlast.history.txn import Txns, transactions
from outlast.testing.simulated_history import list_append_history, serial_history

CLEAN = int(os.environ.get("OUTLAST_CLEAN_HISTORIES", "150"))


def careless_history(rng: random.Random, lists: bool) -> Ops:
    """Return a few transactions on a store whose reads see any recent state."""
    pairer, waiting = EventPairer(), dict[int, Any]()
    store: defaultdict[Any, list[Any]] = defaultdict(list)
    total, begun, written = rng.randint(3, 9), 0, 0
    while begun < total or waiting:
        process = rng.randrange(4)
        if process not in waiting:
            if begun < total:
                begun += 1
                waiting[process] = True
                pairer.invoke(process, "txn", None, [])
            continue
        del waiting[process]
        result: list[list[Any]] = []
        for _ in range(rng.randint(1, 4)):
            key = rng.randrange(3)
            if rng.random() < 0.5:
                written += 1
                store[key].append(written)
                result.append(["append" if lists else "w", key, written])
            else:
                seen = store[key][: rng.randint(max(0, len(store[key]) - 2), len(store[key]))]
                result.append(["r", key, seen if lists else seen[-1] if seen else None])
        pairer.complete(process, Outcome.OK, result, f="txn")
    return pairer.ops()


def dependency_graph(ops: Ops, lists: bool) -> Graph:
    txns = transactions(ops, lists=lists)
    builder = GraphBuilder(len(txns))
    if lists:
        AppendHistory.of(txns).add_dependencies(builder)
    else:
        RegisterHistory.of(txns).add_dependencies(builder, Anomalies(), "-realtime")
    add_process_order(builder, txns)
    add_real_time(builder, txns)
    return builder.graph()


def plain_edges(graph: Graph) -> dict[int, set[tuple[int, int]]]:
    """Return (later, kind) by transaction, relays and barriers followed through."""
    out = defaultdict(list)
    for a, b, kind in zip(graph.src.tolist(), graph.dst.tolist(), graph.kind.tolist(), strict=True):
        out[a].append((b, kind))
    edges = defaultdict(set)
    for start in range(graph.n_txns):
        seen, todo = set(), list(out[start])
        while todo:
            node, kind = step = todo.pop()
            if step in seen:
                continue
            seen.add(step)
            if node < graph.n_txns:
                edges[start].add(step) if node != start else None
            else:
                todo += [(target, kind) for target, label in out[node] if label == STEP]
    return edges


def names_by_brute_force(graph: Graph) -> set[str]:
    edges, names = plain_edges(graph), set()

    def walk(start: int, node: int, path: set[int], kinds: list[int]) -> None:
        for target, kind in edges[node]:
            if target == start:
                names.add(classify([*kinds, kind]))
            elif target > start and target not in path:
                walk(start, target, path | {target}, [*kinds, kind])

    for start in range(graph.n_txns):
        walk(start, start, {start}, [])
    return names


@settings(max_examples=250, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_cycles_are_those_of_brute_force(seed: int, lists: bool) -> None:
    graph = dependency_graph(careless_history(random.Random(seed), lists), lists)
    found = find_cycles(graph, deadline_ns(20), 4)
    every = names_by_brute_force(graph)
    assert found.unfinished is None
    assert set(found.counts) <= every
    implied = {name for each in found.counts for name in implied_by(each) | {each}}
    assert every <= implied


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_random_graphs_have_the_cycles_of_brute_force(seed: int) -> None:
    rng = random.Random(seed)
    n, builder = rng.randint(2, 6), GraphBuilder(6)
    for _ in range(rng.randint(2, 12)):
        a, b = rng.randrange(n), rng.randrange(n)
        kind = rng.choice((WW, WW, WR, RW, PROCESS, REALTIME))
        if kind in (PROCESS, REALTIME):
            # Time runs one way, and what a process orders real time orders too.
            builder.add([min(a, b)], [max(a, b)], REALTIME)
            a, b = min(a, b), max(a, b)
        builder.add([a], [b], kind)
    graph = builder.graph()
    found = find_cycles(graph, deadline_ns(20), 4)
    every = names_by_brute_force(graph)
    implied = {name for each in found.counts for name in implied_by(each) | {each}}
    assert found.unfinished is None
    assert set(found.counts) <= every <= implied


@settings(max_examples=CLEAN, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_serial_store_is_never_accused(seed: int, lists: bool) -> None:
    rng = random.Random(seed)
    ops = serial_history(
        rng.randint(1, 40),
        lists=lists,
        processes=rng.randint(1, 8),
        keys=rng.randint(1, 4),
        seed=seed,
        ok_share=rng.choice((1.0, 0.85, 0.5)),
    )
    finding = (ListAppend() if lists else RwRegister()).check(History(ops), deadline_ns(20))
    assert (finding.verdict, finding.anomalies) == ("pass", {})


def test_columnar_store_is_never_accused() -> None:
    assert ListAppend().judge(list_append_history(5_000), deadline_ns(20)).anomalies == {}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_relays_connect_all_pairs_but_nothing_to_itself(seed: int) -> None:
    rng = random.Random(seed)
    src = [rng.randrange(12) for _ in range(rng.randint(1, 12))]
    dst = sorted(rng.sample(range(12), rng.randint(1, 12)))
    builder = GraphBuilder(12)
    builder.add_all_pairs(src, dst, RW)
    edges = plain_edges(builder.graph())
    assert {(a, b) for a in edges for b, _ in edges[a]} == {(a, b) for a in src for b in dst if a != b}


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_barriers_order_exactly_what_real_time_orders(seed: int) -> None:
    txns = transactions(serial_history(12, lists=True, seed=seed), lists=True)
    builder = GraphBuilder(len(txns))
    add_real_time(builder, txns)
    edges = plain_edges(builder.graph())
    expected = {
        (a, b)
        for a in range(len(txns))
        for b in range(len(txns))
        if txns.outcome[a] == Outcome.OK
        and txns.outcome[b] != Outcome.FAIL
        and txns.complete_pos[a] < txns.invoke_pos[b]
    }
    assert {(a, b) for a in edges for b, _ in edges[a]} == expected


def test_each_level_proscribes_what_weaker_ones_do() -> None:
    assert list(PROSCRIBED) == list(LEVELS)
    for weaker, stronger in (
        ("read-uncommitted", "read-committed"),
        ("read-committed", "repeatable-read"),
        ("read-committed", "snapshot-isolation"),
        ("repeatable-read", "serializable"),
        ("snapshot-isolation", "serializable"),
        ("read-committed", "cursor-stability"),
        ("cursor-stability", "snapshot-isolation"),
        ("read-atomic", "causal"),
        ("causal", "strong-session-snapshot-isolation"),
        ("pram", "strong-session-snapshot-isolation"),
        ("strong-session-snapshot-isolation", "strong-snapshot-isolation"),
        ("strong-session-snapshot-isolation", "strong-session-serializable"),
        ("strong-snapshot-isolation", "strict-serializable"),
        ("strong-session-serializable", "strict-serializable"),
        ("serializable", "strong-session-serializable"),
    ):
        assert PROSCRIBED[weaker] <= PROSCRIBED[stronger]
    assert (
        PROSCRIBED["snapshot-isolation"] < PROSCRIBED["repeatable-read"]
    )  # without predicates, PL-2.99 is PL-3


@pytest.mark.parametrize(
    ("anomaly", "holds"),
    [
        ("G0", ()),
        ("G1c", ("strong-session-read-uncommitted",)),
        ("G-single", ("strong-session-read-committed",)),
        ("internal", ("strong-session-read-committed",)),
        ("G2-item", ("strong-snapshot-isolation",)),
        ("G2-item-realtime", ("strong-snapshot-isolation", "strong-session-serializable")),
        ("lost-update", ("strong-session-read-committed",)),
    ],
)
def test_strongest_level_left(anomaly: str, holds: tuple[str, ...]) -> None:
    assert strongest([anomaly]) == holds
    assert "strict-serializable" in ruled_out([anomaly])


def test_write_skew_passes_snapshot_isolation_and_says_what_it_allows() -> None:
    ops = sketch(
        '0 invoke txn\n1 invoke txn\n0 ok txn [["r","x",[]],["append","y",1]]\n'
        '1 ok txn [["r","y",[]],["append","x",2]]'
    )
    finding = ListAppend("snapshot-isolation").check(History(ops), deadline_ns(5))
    assert finding.verdict == "pass"
    assert finding.anomalies == {"G2-item": 1}
    assert "it allows G2-item (1)" in finding.summary
    assert finding.evidence[-1].details["strongest"] == ["strong-snapshot-isolation"]


def test_deadline_gives_unknown_or_what_is_certain() -> None:
    ops = careless_history(random.Random(3), True)
    finding = ListAppend().check(History(ops), 0)
    assert finding.verdict in ("fail", "unknown", "pass")
    assert np.array_equal(ops.outcome, np.zeros(len(ops), dtype=np.uint8))


def test_elements_may_be_any_integers() -> None:
    low, high = -(2**62), 2**62
    ops = sketch(
        f'0 does txn [["append",1,{low}],["append",2,{high}]]\n0 does txn [["r",1,[{low}]],["r",2,[]]]'
    )
    finding = ListAppend().check(History(ops), deadline_ns(5))
    assert set(finding.anomalies) == {"G-single"}
    assert f"append of {high}" in finding.evidence[0].message


def test_many_appends_that_nobody_read_stay_linear() -> None:
    n, readers = 200_000, 300
    total = readers + n
    at = np.arange(total)
    acked = at < readers
    many = Txns(
        op=at,
        process=at.astype(np.int32),
        invoke_pos=np.where(acked, 2 * at, readers + at),
        complete_pos=np.where(acked, 2 * at + 1, NEVER),
        outcome=np.where(acked, int(Outcome.OK), int(Outcome.INFO)).astype(np.uint8),
        mop_start=np.arange(total + 1),
        is_write=~acked,
        key=np.zeros(total, dtype=np.int64),
        value=at,
        known=np.ones(total, dtype=np.bool_),
        list_start=np.zeros(total + 1, dtype=np.int64),
        elements=np.zeros(0, dtype=np.int64),
    )
    builder = GraphBuilder(total)
    AppendHistory.of(many).add_dependencies(builder)
    assert len(builder.graph().src) < 5 * total
    assert ListAppend().judge(many, deadline_ns(30)).verdict == "pass"


def test_one_value_written_twice_is_no_verdict() -> None:
    for checker, f in ((ListAppend(), "append"), (RwRegister(), "w")):
        ops = sketch(f'0 does txn [["{f}","x",1]]\n1 does txn [["{f}","x",1]]')
        finding = checker.check(History(ops), deadline_ns(5))
        assert finding.verdict == "unknown"
        assert "1 was written to x more than once" in finding.summary
