"""Suite ``application``: what an application's users see of a failover that comes amid open transactions.

Source: requirement B15. The check here is a small application of its own: each client
holds a connection, runs transactions of two statements with work between them, and connects anew when its connection
drops. The drills do it through HAProxy and PgBouncer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import psycopg

from outlast.checkers.base import Finding
from outlast.clock import now_ns, seconds_between
from outlast.errors import HostError, UnavailableError
from outlast.suites import toolkit
from outlast.suites.suite import Stage, SuiteCheck, expect
from outlast.suites.toolkit import FAILOVER_S_MAX, ask, injected, make_table, within_limit
from outlast.systems.base import Cluster, HasServers
from outlast.systems.postgres.dsn import multi_host_dsn

TITLE: Final = "What an application sees of a failover: errors, dropped connections, response times"

CLIENTS: Final = 8
THINK_S: Final = 0.02
BEFORE_S: Final = 3.0
AFTER_S: Final = 3.0
STATEMENT_TIMEOUT_MS: Final = 5000
TABLE: Final = "outlast_suite_application"


@dataclass(slots=True)
class _Seen:
    """What all users saw. done: (monotonic ns, seconds) of each committed transaction; acked: its number."""

    done: list[tuple[int, float]] = field(default_factory=list)
    acked: list[int] = field(default_factory=list)
    dropped: int = 0
    unsure: int = 0
    refused: int = 0
    longest_s: float = 0.0


async def _open_transactions(stage: Stage) -> Sequence[Finding]:
    dsn = _dsn(stage.cluster)
    await make_table(stage, TABLE, "number bigint, half int, PRIMARY KEY (number, half)")
    seen = _Seen()
    over = asyncio.Event()
    clients = [asyncio.create_task(_client(dsn, number, seen, over)) for number in range(CLIENTS)]
    try:
        await asyncio.sleep(BEFORE_S)
        old = await toolkit.primary(stage)
        broken_ns = now_ns()
        async with injected(stage, "process_stop", (old,), process="manager"):
            new, _ = await toolkit.new_primary(
                stage, old, broken_ns, stage.cluster.model.outage_s + FAILOVER_S_MAX
            )
            again_ns = now_ns()
            await asyncio.sleep(AFTER_S)
        await toolkit.whole(stage)
        await asyncio.sleep(1.0)
    finally:
        over.set()
        await asyncio.wait(clients, timeout=STATEMENT_TIMEOUT_MS / 1000 + 5)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    leads = await toolkit.primary(stage)
    rows = await ask(stage, leads, f"SELECT number, count(*) FROM {TABLE} GROUP BY number")
    there: dict[int, int] = dict(rows)
    lost = [number for number in seen.acked if number not in there]
    halves = [number for number, count in there.items() if count != 2]
    before = sorted(took for at, took in seen.done if at < broken_ns)
    after = sorted(took for at, took in seen.done if at > again_ns)
    words = f"{len(seen.acked)} transactions of {CLIENTS} clients acknowledged through {old} → {new}"
    told = (
        f"{seen.dropped} connections dropped amid a transaction, {seen.unsure} of them in COMMIT; "
        f"{seen.refused} attempts to connect failed"
    )
    waited_s = round(seen.longest_s, 3)
    return [
        expect("acked_lost", not lost, f"{words}; {len(lost)} lost", len(lost), 0),
        expect(
            "half_transactions", not halves, f"{len(halves)} transactions are there by half", len(halves), 0
        ),
        within_limit("longest_wait_s", waited_s, FAILOVER_S_MAX, "the longest that a user waited", unit=" s"),
        expect("dropped", True, told, seen.dropped),
        expect(
            "response_before_p99_ms",
            bool(before),
            f"response times before: {_percentiles(before)}",
            _at(before, 0.99),
        ),
        expect(
            "response_after_p99_ms",
            bool(after),
            f"response times after: {_percentiles(after)}",
            _at(after, 0.99),
        ),
    ]


async def _client(dsn: str, number: int, seen: _Seen, over: asyncio.Event) -> None:
    """Be one user until over: one transaction after another, connecting anew whenever the connection is lost."""
    count = 0
    last_ns = now_ns()
    while not over.is_set():
        try:
            connection = await psycopg.AsyncConnection.connect(dsn, prepare_threshold=None)
        except (psycopg.Error, OSError):
            seen.refused += 1
            await asyncio.sleep(0.1)
            continue
        unwaited: list[str] = []
        toolkit.hear_local_commits(connection, unwaited)
        with contextlib.suppress(psycopg.Error, OSError):
            async with connection:
                while not over.is_set():
                    count += 1
                    unique = number << 32 | count
                    began = now_ns()
                    committing = False
                    try:
                        await connection.execute(f"INSERT INTO {TABLE} VALUES (%s, 1)", (unique,))
                        await asyncio.sleep(THINK_S)
                        await connection.execute(f"INSERT INTO {TABLE} VALUES (%s, 2)", (unique,))
                        committing = True
                        await connection.commit()
                        if unwaited:  # reported as a success, and it may be lost
                            raise OSError(unwaited[0])
                    except (psycopg.Error, OSError):
                        seen.dropped += 1
                        seen.unsure += committing
                        raise
                    at = now_ns()
                    seen.acked.append(unique)
                    seen.done.append((at, seconds_between(began, at)))
                    seen.longest_s = max(seen.longest_s, seconds_between(last_ns, at))
                    last_ns = at


def _dsn(cluster: Cluster) -> str:
    """Return what leads past the lab's published ports to whoever takes writes."""
    assert isinstance(cluster, HasServers)
    ports = [cluster.lab.published.get(node.name) for node in cluster.spec.nodes]
    if None in ports:
        raise UnavailableError("some nodes have no published port")
    hosts = [("127.0.0.1", port.port) for port in ports if port is not None]
    dsn = multi_host_dsn(hosts, cluster.spec.database, cluster.spec.user, "read-write")
    try:
        password = cluster.credentials.password(cluster.spec.user)
    except KeyError as error:
        raise HostError(f"there is no password of {cluster.spec.user}") from error
    return psycopg.conninfo.make_conninfo(
        dsn, password=password, options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"
    )


def _at(times: Sequence[float], share: float) -> float | None:
    return round(times[min(len(times) - 1, int(len(times) * share))] * 1000, 1) if times else None


def _percentiles(times: Sequence[float]) -> str:
    return f"p50 {_at(times, 0.5)} ms, p99 {_at(times, 0.99)} ms, {len(times)} transactions"


CHECKS: Final = (
    SuiteCheck(
        "open-transactions",
        "Users amid transactions when the primary is shut down lose nothing, and are back within half a minute",
        _open_transactions,
        ("has-servers", "has-primary", "killable"),
    ),
)
