"""Suite ``failover``: who leads, what its loss costs, and how the old primary comes back.

Source: requirement C1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from outlast.checkers.base import Finding
from outlast.clock import now_ns, seconds_between
from outlast.suites import toolkit
from outlast.suites.suite import Stage, SuiteCheck, expect
from outlast.suites.toolkit import FAILOVER_S_MAX, ask, injected, make_table, within_limit
from outlast.systems.base import Role

TITLE: Final = (
    "The primary is lost: another leads within half a minute, nothing is lost, the old one comes back"
)

LAG_S_MAX: Final = 5.0
REJOIN_S_MAX: Final = 60.0
RECORDS: Final = 10
TABLE: Final = "outlast_suite_failover"


async def _roles(stage: Stage) -> Sequence[Finding]:
    view = await stage.cluster.view()
    following = [
        node.name for node in view.nodes if node.role in (Role.STANDBY, Role.READ_ONLY) and node.healthy
    ]
    writable = await toolkit.writable_nodes(stage)
    words = f"{view.primary or 'nobody'} leads"
    return [
        expect("primary", view.primary is not None, words, view.primary),
        within_limit("standbys", len(following), 1, "healthy standbys", at_least=True),
        expect(
            "one_primary",
            writable == [view.primary],
            f"accepts writes: {', '.join(writable)}",
            len(writable),
            1,
        ),
    ]


async def _lag(stage: Stage) -> Sequence[Finding]:
    await make_table(stage, TABLE, "id int PRIMARY KEY")
    await toolkit.write(
        stage,
        await toolkit.primary(stage),
        (f"INSERT INTO {TABLE} SELECT generate_series(1, 1000)", ()),
    )
    took_s, seen = await toolkit.on_every_node(stage, f"SELECT count(*) FROM {TABLE}", (1000,), LAG_S_MAX + 1)
    return [
        within_limit("lag_s", took_s, LAG_S_MAX, "a thousand rows are read on every node after", unit=" s"),
        toolkit.same_everywhere("rows", seen, (1000,), len(stage.cluster.spec.nodes), "a thousand rows"),
    ]


async def _ten_records(stage: Stage) -> Sequence[Finding]:
    await make_table(stage, TABLE, "id int PRIMARY KEY, body text")
    old = await toolkit.primary(stage)
    rows = [(f"INSERT INTO {TABLE} VALUES (%s, %s)", (n, f"record {n}")) for n in range(RECORDS)]
    await toolkit.write(stage, old, *rows)
    hashed = f"SELECT count(*), md5(string_agg(id || body, ',' ORDER BY id)) FROM {TABLE}"
    (before,) = await ask(stage, old, hashed)
    began = now_ns()
    async with injected(stage, "host_power_off", (old,)):
        new, took_s = await toolkit.new_primary(
            stage, old, began, stage.cluster.model.outage_s + FAILOVER_S_MAX
        )
        (after,) = await ask(stage, new, hashed)
        writable = await toolkit.writable_nodes(stage)
    healed = now_ns()
    await toolkit.whole(stage, REJOIN_S_MAX * 2)
    rejoin_s = round(seconds_between(healed, now_ns()), 3)
    role = (await stage.cluster.view()).node(old).role
    _, seen = await toolkit.on_every_node(stage, hashed, before, 10.0)
    kept = after[0] if isinstance(after[0], int) else 0
    return [
        toolkit.failover_finding(stage, took_s, f"{new} took a write after {old} lost its power"),
        within_limit("records", kept, RECORDS, f"records on {new} after the failover", at_least=True),
        expect(
            "intact",
            after == before,
            f"the records' hash on {new} is {'equal' if after == before else 'another'}",
        ),
        expect("one_primary", writable == [new], f"accepts writes: {', '.join(writable)}", len(writable), 1),
        within_limit("rejoin_s", rejoin_s, REJOIN_S_MAX, f"{old} is back as {role} after", unit=" s"),
        expect("rejoined_as_standby", role is not Role.PRIMARY, f"{old} is {role}", str(role)),
        toolkit.same_everywhere("on_all", seen, before, len(stage.cluster.spec.nodes), "the ten records"),
        await toolkit.replicas_equal(stage),
    ]


CHECKS: Final = tuple(
    SuiteCheck(name, title, run, ("has-servers", "has-primary"))
    for name, title, run in (
        ("roles", "One node leads and accepts writes, at least one follows", _roles),
        ("lag", "What the primary commits is read on every node within seconds", _lag),
        ("ten-records", "Ten records outlive their primary, which comes back as a standby", _ten_records),
    )
)  # fmt: skip
