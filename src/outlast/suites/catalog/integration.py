"""Suite ``integration``: what applications need of the cluster as a whole, with a node failed for real each time.

Source: requirement C4. The tests that it describes never fail a node; these do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from outlast.checkers.base import Finding
from outlast.clock import now_ns, seconds_between
from outlast.errors import ClusterError
from outlast.suites import toolkit
from outlast.suites.suite import Stage, SuiteCheck, expect
from outlast.suites.toolkit import FAILOVER_S_MAX, ask, injected, make_table, within_limit
from outlast.systems.base import Role

TITLE: Final = "Applications go on through real failures: load, vectors, parallel writers, spread reads"

FAILOVERS: Final = 3
ROWS: Final = 100
WRITERS: Final = 8
WRITES_EACH: Final = 25
PARALLEL_SHARE_MIN: Final = 0.85
READ_NODES_MIN: Final = 2
READ_S: Final = 2.0
READERS: Final = 4
TABLE: Final = "outlast_suite_integration"
_HASHED: Final = f"SELECT count(*), md5(coalesce(string_agg(id || body, ',' ORDER BY id), '')) FROM {TABLE}"


async def _end_to_end(stage: Stage) -> Sequence[Finding]:
    await make_table(stage, TABLE, "id int PRIMARY KEY, body text")
    old = await toolkit.primary(stage)
    await toolkit.write(
        stage, old, (f"INSERT INTO {TABLE} SELECT n, 'row ' || n FROM generate_series(1, %s) AS n", (ROWS,))
    )
    (before,) = await ask(stage, old, _HASHED)
    began = now_ns()
    async with injected(stage, "process_stop", (old,), process="manager"):
        new, took_s = await toolkit.new_primary(
            stage, old, began, stage.cluster.model.outage_s + FAILOVER_S_MAX
        )
        (after,) = await ask(stage, new, _HASHED)
        await toolkit.write(stage, new, (f"INSERT INTO {TABLE} VALUES (%s, 'after')", (ROWS + 1,)))
    recovery_s = await toolkit.whole(stage)
    (last,) = await ask(stage, new, _HASHED)
    _, seen = await toolkit.on_every_node(stage, _HASHED, last, 10.0)
    return [
        toolkit.failover_finding(
            stage, took_s, f"{new} took a write after {old}'s manager and server were stopped"
        ),
        expect(
            "intact",
            after == before,
            f"{after[0]} of {before[0]} rows on {new}, hash {'equal' if after == before else 'another'}",
        ),
        within_limit(
            "recovery_s", recovery_s, FAILOVER_S_MAX, "whole again after the node was started", unit=" s"
        ),
        toolkit.same_everywhere("on_all", seen, last, len(stage.cluster.spec.nodes), f"{ROWS + 1} rows"),
    ]


async def _parallel(stage: Stage) -> Sequence[Finding]:
    await make_table(stage, TABLE, "id int PRIMARY KEY, body text")
    leads, gone = await toolkit.primary(stage), (await toolkit.standbys(stage))[0]

    async def writer(number: int) -> int:
        acked = 0
        for n in range(WRITES_EACH):
            row = (number * WRITES_EACH + n, f"writer {number}")
            with contextlib.suppress(ClusterError):
                await toolkit.write(stage, leads, (f"INSERT INTO {TABLE} VALUES (%s, %s)", row))
                acked += 1
        return acked

    async with injected(stage, "process_kill", (gone,), process="server"):
        acked = sum(await asyncio.gather(*(writer(number) for number in range(WRITERS))))
    await toolkit.whole(stage)
    (kept,) = await ask(stage, leads, f"SELECT count(*) FROM {TABLE}")
    tried = WRITERS * WRITES_EACH
    words = f"{acked} of {tried} writes of {WRITERS} parallel writers acknowledged while {gone} was killed"
    return [
        within_limit("success", round(acked / tried, 4), PARALLEL_SHARE_MIN, words, at_least=True),
        within_limit("kept", kept[0], acked, "of the acknowledged writes are there", at_least=True),
        await toolkit.replicas_equal(stage),
    ]


async def _several_failovers(stage: Stage) -> Sequence[Finding]:
    await make_table(stage, TABLE, "id int PRIMARY KEY, body text")
    took: list[float] = []
    leaders = [await toolkit.primary(stage)]
    written = 0
    for number in range(FAILOVERS):
        old = leaders[-1]
        many = f"INSERT INTO {TABLE} SELECT n, 'round {number}' FROM generate_series(%s::int, %s::int) AS n"
        await toolkit.write(stage, old, (many, (written + 1, written + ROWS)))
        written += ROWS
        began = now_ns()
        async with injected(stage, "process_stop", (old,), process="manager"):
            new, seconds = await toolkit.new_primary(
                stage, old, began, stage.cluster.model.outage_s + FAILOVER_S_MAX
            )
        took.append(seconds)
        leaders.append(new)
        await toolkit.whole(stage)
    (kept,) = await ask(stage, leaders[-1], f"SELECT count(*), count(DISTINCT id) FROM {TABLE}")
    writable = await toolkit.writable_nodes(stage)
    words = f"{' → '.join(leaders)}; the longest of {FAILOVERS} failovers took"
    return [
        toolkit.failover_finding(stage, max(took), words),
        within_limit("rows", kept[0], written, f"rows after {FAILOVERS} failovers", at_least=True),
        expect(
            "one_primary",
            writable == [leaders[-1]],
            f"accepts writes: {', '.join(writable)}",
            len(writable),
            1,
        ),
        await toolkit.replicas_equal(stage),
    ]


async def _reads_scale(stage: Stage) -> Sequence[Finding]:
    await make_table(stage, TABLE, "id int PRIMARY KEY, body text")
    leads = await toolkit.primary(stage)
    await toolkit.write(
        stage, leads, (f"INSERT INTO {TABLE} SELECT n, 'x' FROM generate_series(1, %s) AS n", (ROWS,))
    )
    await toolkit.on_every_node(stage, f"SELECT count(*) FROM {TABLE}", (ROWS,), 10.0)
    view = await stage.cluster.view()
    nodes = [node.name for node in view.nodes if node.role in (Role.PRIMARY, Role.STANDBY, Role.READ_ONLY)]
    gone = next(node for node in nodes if node != leads)
    reads = dict.fromkeys(nodes, 0)
    wrong = 0

    async def reader(node: str) -> None:
        nonlocal wrong
        began = now_ns()
        while seconds_between(began, now_ns()) < READ_S:
            (row,) = await ask(stage, node, f"SELECT count(*) FROM {TABLE}")
            wrong += row != (ROWS,)
            reads[node] += 1

    async with injected(stage, "process_kill", (gone,), process="server"):
        still = [node for node in nodes if node != gone]
        await asyncio.gather(*(reader(node) for node in still for _ in range(READERS)))
    await toolkit.whole(stage)
    serving = [node for node, count in reads.items() if count]
    words = ", ".join(f"{node} {count}" for node, count in reads.items())
    return [
        within_limit(
            "nodes",
            len(serving),
            READ_NODES_MIN,
            f"reads with {gone} killed: {words}; serving",
            at_least=True,
        ),
        expect("right", not wrong, f"{wrong} of {sum(reads.values())} answers were wrong", wrong, 0),
    ]


CHECKS: Final = tuple(
    SuiteCheck(name, title, run, ("has-servers", "has-primary", "killable"))
    for name, title, run in (
        ("end-to-end", "Write, lose the primary, read and write on, get it back", _end_to_end),
        ("parallel-writers", "Parallel writers go on while a standby is killed", _parallel),
        ("several-failovers", "Three failovers in a row leave every row, once, on every node", _several_failovers),
        ("reads-scale", "With one node killed, at least two serve reads, and serve them right", _reads_scale),
    )
)  # fmt: skip
