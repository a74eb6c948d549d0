"""What checks in code share: faults for the length of a block, writes that count, waits for a new primary, figures.

Connections go past the lab's wires to one node each, so a check asks a node itself, whatever its neighbours can see
of it. What clients on the lab's wires get is the matter of drills.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg

from outlast.checkers.base import Finding, Verdict
from outlast.clock import now_ns, seconds_between
from outlast.clusters.wholeness import wait_until_whole
from outlast.errors import ClusterError, HostError
from outlast.faults import journal
from outlast.faults.base import with_defaults
from outlast.faults.registry import fault
from outlast.history.history import JSON
from outlast.pace import scaled
from outlast.suites.suite import Stage, expect
from outlast.systems.base import HasServers
from outlast.systems.postgres import contents
from outlast.systems.postgres.views import Connection
from outlast.systems.wait import wait_for

BITE_TIMEOUT_S: Final = 5.0
WHOLE_TIMEOUT_S: Final = 120.0
STATEMENT_TIMEOUT_S: Final = 15.0
LOOK_TIMEOUT_S: Final = 1.0
POLL_S: Final = 0.05
FAILOVER_S_MAX: Final = 30.0
"""What requirement B8 and requirement C1 allow a failover."""

Row = tuple[Any, ...]


def within_limit(
    name: str, value: float, limit: float, words: str, *, at_least: bool = False, unit: str = ""
) -> Finding:
    """Return the finding on a figure and its limit: the most that will do, or with at_least the least."""
    holds = value >= limit if at_least else value <= limit
    told = f"{words}: {value:g}{unit} ({'at least' if at_least else 'at most'} {limit:g}{unit})"
    return Finding(
        name, Verdict.PASS if holds else Verdict.FAIL, told, value=value, limit=limit, at_least=at_least
    )


@asynccontextmanager
async def injected(stage: Stage, name: str, targets: Sequence[str], **params: JSON) -> AsyncIterator[None]:
    """Have a fault in force for the length of a with block. Raises ClusterError when it does not bite."""
    kind = fault(name)
    stage.say(f"{name} on {', '.join(targets)}")
    entry = await journal.inject(
        kind, stage.cluster, tuple(targets), with_defaults(kind, params), random.Random(stage.seed)
    )
    try:

        async def unseen() -> str:
            effect = await kind.effective(stage.cluster, entry.injection)
            return "" if effect.bit else effect.words

        await wait_for(unseen, BITE_TIMEOUT_S, f"{name} to bite")
        yield
    finally:
        await asyncio.shield(kind.heal(stage.cluster, entry.injection))
        entry.remove()


async def primary(stage: Stage) -> str:
    """Return who takes writes. Raises ClusterError while nobody does."""
    found = (await stage.cluster.view()).primary
    if found is None:
        raise ClusterError("no node accepts writes")
    return found


async def standbys(stage: Stage) -> list[str]:
    """Return the nodes that do not lead."""
    leads = await primary(stage)
    return [node.name for node in stage.cluster.spec.nodes if node.name != leads]


async def ask(stage: Stage, node: str, query: str, *params: object, timeout_s: float = 5.0) -> list[Row]:
    """Return the rows a node answers to the application's role. Raises ClusterError in the server's words."""
    try:
        connection = await _connect(stage, node, timeout_s)
        async with connection:
            return await (await connection.execute(query.encode(), params)).fetchall()
    except (psycopg.Error, OSError, HostError) as error:
        raise ClusterError(f"{node} does not answer: {str(error).strip()}") from error


async def ask_above(stage: Stage, node: str, query: str, *params: object) -> list[Row]:
    """Return the rows a node answers to the superuser. Raises ClusterError in the server's words."""
    cluster = stage.cluster
    assert isinstance(cluster, HasServers)
    try:
        connection = await cluster.connect(node, database=cluster.spec.database, timeout_s=scaled(5.0))
        async with connection:
            return await (await connection.execute(query.encode(), params)).fetchall()
    except (psycopg.Error, OSError, HostError) as error:
        raise ClusterError(f"{node} does not answer: {str(error).strip()}") from error


async def write(stage: Stage, node: str, *statements: tuple[str, Sequence[object]]) -> None:
    """Run statements one by one on a node as an application does: each waits for the standbys as the cluster is set.

    Raises ClusterError in the server's words, also where a time-out ended the wait for a standby: the server warns that
    the transaction is committed locally only, and reports success.
    """
    unwaited: list[str] = []
    try:
        connection = await _connect(stage, node, STATEMENT_TIMEOUT_S)
        hear_local_commits(connection, unwaited)
        async with connection:
            await connection.execute("SET synchronous_commit = on")
            for text, params in statements:
                await connection.execute(text.encode(), params)
    except (psycopg.Error, OSError, HostError) as error:
        raise ClusterError(f"{node} does not take a write: {str(error).strip()}") from error
    if unwaited:
        raise ClusterError(f"{node} has a write that no standby may have: {unwaited[0]}")


def hear_local_commits(connection: Connection, told: list[str]) -> None:
    """Have told filled with what the server says of commits whose wait for a standby was cancelled."""

    def hear(notice: psycopg.errors.Diagnostic) -> None:
        if "committed locally" in (notice.message_detail or ""):
            told.append(notice.message_primary or "")

    connection.add_notice_handler(hear)


async def make_table(stage: Stage, table: str, columns: str) -> None:
    """Make a table anew on the primary."""
    await write(
        stage,
        await primary(stage),
        (f"DROP TABLE IF EXISTS {table}", ()),
        (f"CREATE TABLE {table} ({columns})", ()),
    )


async def writable_nodes(stage: Stage) -> list[str]:
    """Return the nodes whose servers say that they are not in recovery."""

    async def writable(node: str) -> bool:
        try:
            rows = await ask(stage, node, "SELECT NOT pg_is_in_recovery()", timeout_s=LOOK_TIMEOUT_S)
        except ClusterError:
            return False
        return bool(rows[0][0])

    nodes = [node.name for node in stage.cluster.spec.nodes]
    found = await asyncio.gather(*(writable(node) for node in nodes))
    return [node for node, yes in zip(nodes, found, strict=True) if yes]


async def new_primary(stage: Stage, old: str, since_ns: int, timeout_s: float) -> tuple[str, float]:
    """Wait until another node than old has taken a write; returns it and the seconds since since_ns.

    The write is a transaction that waits for its standbys, so the time is that of a client that tries on.
    Raises ClusterError.
    """
    others = [node.name for node in stage.cluster.spec.nodes if node.name != old]
    found = ""

    async def missing() -> str:
        nonlocal found
        for node in others:
            try:
                (row,) = await ask(stage, node, "SELECT NOT pg_is_in_recovery()", timeout_s=LOOK_TIMEOUT_S)
                if row[0]:
                    await write(
                        stage,
                        node,
                        ("CREATE TABLE IF NOT EXISTS outlast_beat (at timestamptz)", ()),
                        ("INSERT INTO outlast_beat VALUES (now())", ()),
                    )
                    found = node
                    return ""
            except ClusterError as error:
                last = error.message
            else:
                last = f"{node} is a standby"
        return last

    await wait_for(missing, timeout_s, f"another node than {old} to take writes")
    return found, round(seconds_between(since_ns, now_ns()), 3)


def failover_finding(stage: Stage, took_s: float, words: str) -> Finding:
    """Return the finding on how long a failover took.

    Half a minute is the limit, except where a manager's time-outs as it ships add up to more: the sum is it then.
    """
    spec, model = stage.cluster.spec, stage.cluster.model
    slow = spec.system == "pg_auto_failover" and model.outage_s > FAILOVER_S_MAX
    limit = model.outage_s if slow else FAILOVER_S_MAX
    return within_limit(
        "failover_s", took_s, limit, words + (f" (its model: {model.reason})" if slow else ""), unit=" s"
    )


async def whole(stage: Stage, timeout_s: float = WHOLE_TIMEOUT_S) -> float:
    """Wait until the cluster is whole; returns the seconds it took. Raises ClusterError."""
    return round(await wait_until_whole(stage.cluster, timeout_s), 3)


async def on_every_node(
    stage: Stage, query: str, expected: Row, timeout_s: float
) -> tuple[float, dict[str, Row]]:
    """Wait until every node answers query with the row expected; returns the seconds and what each says then.

    Not reached in time is no error: what was last seen is returned.
    """
    began, bound_s = now_ns(), scaled(timeout_s)
    nodes = [node.name for node in stage.cluster.spec.nodes]
    seen: dict[str, Row] = {}

    async def one(node: str) -> None:
        while True:
            with contextlib.suppress(ClusterError):
                rows = await ask(stage, node, query)
                seen[node] = rows[0] if rows else ()
            if seen.get(node) == expected or seconds_between(began, now_ns()) > bound_s:
                return
            await asyncio.sleep(POLL_S)

    await asyncio.gather(*(one(node) for node in nodes))
    for node in nodes:
        seen.setdefault(node, ())  # no answer at all
    return round(seconds_between(began, now_ns()), 3), seen


def same_everywhere(name: str, seen: dict[str, Row], expected: Row, nodes: int, words: str) -> Finding:
    """Return the finding that every one of so many nodes shows what is expected."""
    wrong = {node: row for node, row in seen.items() if row != expected}
    told = f"{words} on {len(seen) - len(wrong)} of {nodes} nodes" + (f"; {wrong}" if wrong else "")
    return expect(name, not wrong and len(seen) == nodes, told, len(seen) - len(wrong), nodes)


async def replicas_equal(stage: Stage, timeout_s: float = 30.0) -> Finding:
    """Return the finding that every table has the same content on every node, at the primary's position."""
    cluster = stage.cluster
    assert isinstance(cluster, HasServers)

    async def connect(node: str, database: str) -> Connection:
        assert isinstance(cluster, HasServers)
        return await cluster.connect(node, database=database, timeout_s=timeout_s)

    try:
        found = await contents.compare(connect, await primary(stage), await standbys(stage), timeout_s)
    except (psycopg.Error, OSError, TimeoutError) as error:
        raise ClusterError(f"the nodes could not be compared: {str(error).strip()}") from error
    words = "; ".join(f"{one.node} differs in {', '.join(one.tables)}" for one in found)
    return expect("replicas_equal", not found, words or "every table is equal on every node", not found, True)


async def timed(act: Callable[[], Awaitable[object]]) -> float:
    """Return the seconds that act takes."""
    began = now_ns()
    await act()
    return round(seconds_between(began, now_ns()), 3)


async def _connect(stage: Stage, node: str, timeout_s: float) -> Connection:
    cluster = stage.cluster
    assert isinstance(cluster, HasServers)
    return await cluster.connect(
        node, database=cluster.spec.database, user=cluster.spec.user, timeout_s=scaled(timeout_s)
    )
