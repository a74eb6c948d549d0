"""Suite ``replication``: slots, streams, settings, and how fast every node shows what the primary has.

Source: requirement C2.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Final

from outlast.checkers.base import Finding
from outlast.clock import now_ns, seconds_between
from outlast.errors import UnavailableError
from outlast.suites import toolkit
from outlast.suites.suite import Stage, SuiteCheck, expect
from outlast.suites.toolkit import ask, ask_above, injected, make_table, within_limit
from outlast.systems.base import Role

TITLE: Final = "Every standby streams through a slot, shows the same bytes soon, and catches up after a delay"

ROW_BYTES: Final = 5000
ROW_S_MAX: Final = 2.0
BULK: Final = 100
BULK_S_MAX: Final = 5.0
CATCH_UP_S_MAX: Final = 15.0
BACKLOG: Final = 20_000
BEHIND_S: Final = 3.0
TABLE: Final = "outlast_suite_replication"


async def _slots(stage: Stage) -> Sequence[Finding]:
    leads, following = await toolkit.primary(stage), await toolkit.standbys(stage)
    slots = await ask_above(stage, leads, "SELECT slot_name::text, active FROM pg_replication_slots")
    active = [name for name, alive in slots if alive]
    words = f"{leads} has {len(slots)} slots, in use: {', '.join(active) or 'none'}"
    return [within_limit("active_slots", len(active), len(following), words, at_least=True)]


async def _streaming(stage: Stage) -> Sequence[Finding]:
    leads, following = await toolkit.primary(stage), await toolkit.standbys(stage)
    rows = await ask_above(stage, leads, "SELECT application_name, state FROM pg_stat_replication ORDER BY 1")
    states = ", ".join(f"{name} {state}" for name, state in rows)
    good = [name for name, state in rows if state == "streaming"]
    view = await stage.cluster.view()
    lags = {node.name: node.replay_lag_s for node in view.nodes if node.role is not Role.PRIMARY}
    longest = max((lag for lag in lags.values() if lag is not None), default=0.0)
    return [
        within_limit(
            "streaming", len(good), len(following), f"{leads} says: {states}; streaming", at_least=True
        ),
        within_limit("replay_lag_s", round(longest, 3), ROW_S_MAX, "longest replay lag", unit=" s"),
    ]


async def _same_bytes(stage: Stage) -> Sequence[Finding]:
    await make_table(stage, TABLE, "id int PRIMARY KEY, body text")
    leads = await toolkit.primary(stage)
    # Never the same twice: a standby that is behind must not pass with the row of an earlier run.
    body = "".join(hashlib.sha256(f"{now_ns()}/{n}".encode()).hexdigest() for n in range(80))[:ROW_BYTES]
    expected = hashlib.sha256(body.encode()).hexdigest()
    await toolkit.write(stage, leads, (f"INSERT INTO {TABLE} VALUES (1, %s)", (body,)))
    hashed = f"SELECT encode(sha256(body::bytea), 'hex') FROM {TABLE} WHERE id = 1"
    took_s, seen = await toolkit.on_every_node(stage, hashed, (expected,), ROW_S_MAX + 3)
    words = f"sha256 of a row of {ROW_BYTES} bytes is what was written"
    return [
        toolkit.same_everywhere("sha256", seen, (expected,), len(stage.cluster.spec.nodes), words),
        within_limit("seconds", took_s, ROW_S_MAX, "the row is on every node after", unit=" s"),
    ]


async def _synchronous(stage: Stage) -> Sequence[Finding]:
    if stage.cluster.spec.sync == "off":
        raise UnavailableError("sync is off: no standby is waited for; --set sync=on")
    leads = await toolkit.primary(stage)
    rows = await ask_above(
        stage, leads, "SELECT application_name, sync_state FROM pg_stat_replication ORDER BY 1"
    )
    waited = [name for name, state in rows if state in ("sync", "quorum")]
    states = ", ".join(f"{name} {state}" for name, state in rows)
    return [
        within_limit("sync_standbys", len(waited), 1, f"{leads} says: {states}; waited for", at_least=True)
    ]


async def _settings(stage: Stage) -> Sequence[Finding]:
    names = [
        "wal_level",
        "max_wal_senders",
        "hot_standby",
        "archive_mode",
        "archive_command",
        "archive_library",
    ]
    found = []
    wanted = len(stage.cluster.spec.nodes) - 1
    for node in (one.name for one in stage.cluster.spec.nodes):
        said: dict[str, str] = dict(
            await ask_above(stage, node, "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", names)
        )
        level, mode = said["wal_level"], said["archive_mode"]
        good = (
            level in ("replica", "logical")
            and int(said["max_wal_senders"]) >= wanted
            and said["hot_standby"] == "on"
        )
        words = (
            f"wal_level {level}, max_wal_senders {said['max_wal_senders']}, hot_standby {said['hot_standby']}"
        )
        found.append(expect(f"wal_on_{node}", good, words, level))
        command = said["archive_command"] if said["archive_command"] != "(disabled)" else ""
        target = command or said.get("archive_library", "")
        archives = mode == "off" or bool(target)
        words = f"archive_mode {mode}" + ("" if mode == "off" else f", archived by {target or 'nothing'}")
        found.append(expect(f"archive_on_{node}", archives, words, mode))
    return found


async def _bulk(stage: Stage) -> Sequence[Finding]:
    await make_table(stage, TABLE, "id int PRIMARY KEY, body text")
    leads = await toolkit.primary(stage)
    rows = [(f"INSERT INTO {TABLE} VALUES (%s, %s)", (n, f"row {n}")) for n in range(BULK)]
    await toolkit.write(stage, leads, *rows)
    took_s, seen = await toolkit.on_every_node(
        stage, f"SELECT count(*) FROM {TABLE}", (BULK,), BULK_S_MAX + 3
    )
    return [
        toolkit.same_everywhere(
            "rows", seen, (BULK,), len(stage.cluster.spec.nodes), f"{BULK} of {BULK} rows"
        ),
        within_limit("seconds", took_s, BULK_S_MAX, "all rows are on every node after", unit=" s"),
    ]


async def _catch_up(stage: Stage) -> Sequence[Finding]:
    await make_table(stage, TABLE, "id int PRIMARY KEY, body text")
    leads, behind = await toolkit.primary(stage), await _least_waited_for(stage)
    many = f"INSERT INTO {TABLE} SELECT n, repeat('x', 200) FROM generate_series(1, {BACKLOG}) AS n"
    counted = f"SELECT count(*) FROM {TABLE}"
    # Not replay_pause: Patroni's every loop lets a few hundredths of a second's worth be replayed.
    async with injected(stage, "walreceiver_block", (behind,)):
        await toolkit.write(stage, leads, (many, ()))
        await asyncio.sleep(BEHIND_S)
        (seen_behind,) = await ask(stage, behind, counted)
    healed = now_ns()
    _, seen = await toolkit.on_every_node(stage, counted, (BACKLOG,), CATCH_UP_S_MAX + 5)
    took_s = round(seconds_between(healed, now_ns()), 3)
    return [
        expect(
            "was_behind",
            seen_behind == (0,),
            f"{behind}, held back, showed {seen_behind[0]} of {BACKLOG} rows",
        ),
        within_limit(
            "catch_up_s",
            took_s,
            CATCH_UP_S_MAX,
            f"{behind} has caught up with {BACKLOG} rows after",
            unit=" s",
        ),
        toolkit.same_everywhere("rows", seen, (BACKLOG,), len(stage.cluster.spec.nodes), f"{BACKLOG} rows"),
    ]


async def _least_waited_for(stage: Stage) -> str:
    """Return a standby that no commit waits for, or one of several that may be waited for."""
    nodes = [node for node in (await stage.cluster.view()).nodes if node.sync is not None]
    return min(nodes, key=lambda node: ("async", "potential", "quorum", "sync").index(str(node.sync))).name


async def _late_packets(stage: Stage) -> Sequence[Finding]:
    await make_table(stage, TABLE, "id int PRIMARY KEY, body text")
    leads, behind = await toolkit.primary(stage), (await toolkit.standbys(stage))[-1]
    async with injected(stage, "net_delay", (behind,), delay_ms=150, peers="nodes"):
        rows = [(f"INSERT INTO {TABLE} VALUES (%s, 'late')", (n,)) for n in range(10)]
        await toolkit.write(stage, leads, *rows)
    healed = now_ns()
    _, seen = await toolkit.on_every_node(stage, f"SELECT count(*) FROM {TABLE}", (10,), CATCH_UP_S_MAX + 5)
    took_s = round(seconds_between(healed, now_ns()), 3)
    return [
        within_limit(
            "catch_up_s",
            took_s,
            CATCH_UP_S_MAX,
            f"{behind}, its packets 150 ms late, has all rows after",
            unit=" s",
        ),
        toolkit.same_everywhere("rows", seen, (10,), len(stage.cluster.spec.nodes), "ten rows"),
        await toolkit.replicas_equal(stage),
    ]


CHECKS: Final = tuple(
    SuiteCheck(name, title, run, ("has-servers", "has-primary"))
    for name, title, run in (
        ("slots", "Every standby has a replication slot, in use", _slots),
        ("streaming", "Every standby streams, and replays with little lag", _streaming),
        ("same-bytes", "A row of 5,000 bytes has the same hash on every node within two seconds", _same_bytes),
        ("synchronous-standby", "At least one standby is waited for", _synchronous),
        ("wal-settings", "WAL level, senders and archiving are set as replication needs", _settings),
        ("bulk", "A hundred of a hundred rows arrive on every node", _bulk),
        ("catch-up", "A standby that was held back catches up within fifteen seconds", _catch_up),
        ("late-packets", "A standby whose packets are late catches up, and all nodes are equal", _late_packets),
    )
)  # fmt: skip
