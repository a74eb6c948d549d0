"""What suites ask of a cluster that holds the healthcare data: its health, two kinds of failover, a load, a partition.

Source: requirements B7 to B12, on pg_auto_failover. They run on any system with servers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from outlast.checkers.base import Finding
from outlast.clock import now_ns, seconds_between
from outlast.datasets.load import DATASETS
from outlast.errors import ClusterError, UnavailableError
from outlast.suites import toolkit
from outlast.suites.suite import Stage, expect
from outlast.suites.toolkit import FAILOVER_S_MAX, ask, injected, within_limit
from outlast.systems.base import HasLeaderRecord, HasLogs, Role, Switchable
from outlast.systems.wait import wait_for

AUDIT_ROWS: Final = 1000
APPOINTMENTS: Final = 100
LAG_S_MAX: Final = 2.0
REJOIN_S_MAX: Final = 60.0
DETECTED_S_MAX: Final = 15.0
RECONNECT_S_MAX: Final = 15.0
ACTOR: Final = "test_user"
ACTION: Final = "controlled_failover_test"
LOADED: Final = "outlast_load_test"

EXPECTED_ERRORS: Final = re.compile(
    "read-only transaction"  # a client that found a standby
    "|during recovery|recovery is in progress"
    "|canceling statement|terminating connection|terminating walreceiver"
    "|requested (starting point|WAL segment)"  # a standby that asks for what is not there yet, and asks again
    "|replication slot .* (does not exist|is active)"
    "|could not (receive data from WAL stream|connect to the primary server)"
    "|already exists"  # a slot or role that a manager makes wherever it is not
)
"""Errors in a server's log that a failover brings with it."""

_ERROR: Final = re.compile(r"\b(ERROR|PANIC):")
_COUNTS: Final = "SELECT " + ", ".join(
    f"(SELECT count(*) FROM {table})" for table in DATASETS["healthcare"].tables
)
_PATIENTS: Final = (
    "SELECT count(*), md5(coalesce(string_agg(p::text, ',' ORDER BY patient_id), '')) FROM patients AS p"
)
_AUDIT: Final = "SELECT count(*) FROM audit_log WHERE action = 'outlast_failover_test'"


async def health(stage: Stage) -> Sequence[Finding]:
    """Test 1: one primary, its replicas in recovery, the same counts in every table on every node."""
    _needs_clinic(stage)
    nodes = [node.name for node in stage.cluster.spec.nodes]
    recovering = {node: (await ask(stage, node, "SELECT pg_is_in_recovery()"))[0][0] for node in nodes}
    primaries = [node for node, yes in recovering.items() if not yes]
    shown = ", ".join(f"{node} {'t' if yes else 'f'}" for node, yes in recovering.items())
    (counts,) = await ask(stage, await toolkit.primary(stage), _COUNTS)
    _, seen = await toolkit.on_every_node(stage, _COUNTS, counts, 10.0)
    words = f"the counts {', '.join(map(str, counts))}"
    return [
        expect("one_primary", len(primaries) == 1, f"pg_is_in_recovery: {shown}", len(primaries), 1),
        within_limit(
            "replicas", len(nodes) - len(primaries), len(nodes) - 1, "nodes in recovery", at_least=True
        ),
        toolkit.same_everywhere("counts", seen, counts, len(nodes), words),
    ]


async def automatic_failover(stage: Stage) -> Sequence[Finding]:
    """Test 2: a thousand rows of the log and all patients outlive the primary's host; it rejoins by itself."""
    _needs_clinic(stage)
    old = await toolkit.primary(stage)
    many = (
        "INSERT INTO audit_log (actor, action, context) SELECT 'outlast', 'outlast_failover_test', "
        "jsonb_build_object('n', n) FROM generate_series(1, %s) AS n"
    )
    clean = ("DELETE FROM audit_log WHERE action = 'outlast_failover_test'", ())
    await toolkit.write(stage, old, clean, (many, (AUDIT_ROWS,)))
    (patients,) = await ask(stage, old, _PATIENTS)
    (rows,) = await ask(stage, old, _AUDIT)
    marks = _log_sizes(stage)
    began = now_ns()
    async with injected(stage, "host_power_off", (old,)):
        new, took_s = await toolkit.new_primary(
            stage, old, began, stage.cluster.model.outage_s + FAILOVER_S_MAX
        )
        (after,) = await ask(stage, new, _PATIENTS)
        (kept,) = await ask(stage, new, _AUDIT)
    healed = now_ns()
    await toolkit.whole(stage)
    rejoin_s = round(seconds_between(healed, now_ns()), 3)
    back = (await stage.cluster.view()).node(old)
    strange = _errors_since(stage, marks)
    return [
        toolkit.failover_finding(stage, took_s, f"{new} took a write after {old} lost its power"),
        within_limit(
            "audit_rows", kept[0], AUDIT_ROWS, f"rows of the log on {new}, {rows[0]} before", at_least=True
        ),
        expect(
            "patients",
            after == patients,
            f"{after[0]} patients on {new}, {patients[0]} before",
            after[0],
            patients[0],
        ),
        within_limit(
            "rejoin_s",
            rejoin_s,
            REJOIN_S_MAX,
            f"{old} is back as {back.role}, {back.state}, after",
            unit=" s",
        ),
        expect("rejoined_as_standby", back.role is not Role.PRIMARY, f"{old} is {back.role}", str(back.role)),
        expect(
            "logs",
            not strange,
            "; ".join(strange[:5]) or "no unexpected ERROR in the servers' logs",
            len(strange),
            0,
        ),
        await toolkit.replicas_equal(stage),
    ]


async def controlled_failover(stage: Stage) -> Sequence[Finding]:
    """Test 3: a switchover loses nothing; a line of the log persists; connections are had again at once."""
    _needs_clinic(stage)
    cluster = stage.cluster
    if not isinstance(cluster, Switchable):
        raise UnavailableError(f"{cluster.spec.system} cannot move its primary on demand")
    old = await toolkit.primary(stage)
    line = """INSERT INTO audit_log (actor, action, context) VALUES (%s, %s, '{"test": true}')"""
    await toolkit.write(
        stage, old, ("DELETE FROM audit_log WHERE action = %s", (ACTION,)), (line, (ACTOR, ACTION))
    )
    (patients,) = await ask(stage, old, _PATIENTS)
    began = now_ns()
    new = await cluster.switchover(None)
    command_s = round(seconds_between(began, now_ns()), 3)
    _, again_s = await toolkit.new_primary(stage, old, began, cluster.model.outage_s + FAILOVER_S_MAX)
    await toolkit.whole(stage)
    there = "SELECT actor, action, context::text FROM audit_log WHERE action = 'controlled_failover_test'"
    wanted = (ACTOR, ACTION, '{"test": true}')
    _, seen = await toolkit.on_every_node(stage, there, wanted, 10.0)
    (after,) = await ask(stage, new, _PATIENTS)
    return [
        within_limit("switchover_s", command_s, FAILOVER_S_MAX, f"{old} → {new}", unit=" s"),
        within_limit(
            "reconnected_s",
            again_s,
            max(RECONNECT_S_MAX, command_s + 1),
            "a client has written again after",
            unit=" s",
        ),
        toolkit.same_everywhere(
            "audit_row", seen, wanted, len(cluster.spec.nodes), "the log's line of test_user"
        ),
        expect(
            "patients", after == patients, f"{after[0]} patients, {patients[0]} before", after[0], patients[0]
        ),
        await toolkit.replicas_equal(stage),
    ]


async def load(stage: Stage) -> Sequence[Finding]:
    """Test 5: a hundred appointments are made, arrive everywhere soon, and are cleaned up everywhere."""
    _needs_clinic(stage)
    leads = await toolkit.primary(stage)
    insert = (
        "INSERT INTO appointments (patient_id, provider_id, facility_id, appointment_date, appointment_time, "
        "appointment_type) SELECT p.patient_id, v.provider_id, v.facility_id, current_date, '10:00', %s "
        "FROM (SELECT patient_id FROM patients LIMIT 1) AS p, (SELECT provider_id, facility_id "
        "FROM healthcare_providers WHERE facility_id IS NOT NULL LIMIT 1) AS v"
    )
    counted = f"SELECT count(*) FROM appointments WHERE appointment_type = '{LOADED}'"
    total = "SELECT count(*) FROM appointments"
    (before,) = await ask(stage, leads, total)
    began = now_ns()
    await toolkit.write(stage, leads, *((insert, (LOADED,)) for _ in range(APPOINTMENTS)))
    insert_s = round(seconds_between(began, now_ns()), 3)
    lag_s, seen = await toolkit.on_every_node(stage, counted, (APPOINTMENTS,), LAG_S_MAX + 5)
    await toolkit.write(stage, leads, ("DELETE FROM appointments WHERE appointment_type = %s", (LOADED,)))
    _, cleaned = await toolkit.on_every_node(stage, total, before, 10.0)
    nodes = len(stage.cluster.spec.nodes)
    words = f"{APPOINTMENTS} appointments, made in {insert_s} s, are"
    return [
        toolkit.same_everywhere("appointments", seen, (APPOINTMENTS,), nodes, words),
        within_limit("lag_s", lag_s, LAG_S_MAX, "every node has them after", unit=" s"),
        toolkit.same_everywhere("cleaned", cleaned, before, nodes, f"{before[0]} appointments as before are"),
    ]


async def partition(stage: Stage) -> Sequence[Finding]:
    """The partition test: the cut-off primary is noticed and replaced, two never take writes at once, all heals."""
    cluster = stage.cluster
    if not isinstance(cluster, HasLeaderRecord):
        raise UnavailableError(f"{cluster.spec.system} writes down nowhere who is to lead")
    leads = cluster
    old = await toolkit.primary(stage)
    limit = max(DETECTED_S_MAX, cluster.model.outage_s)
    began = now_ns()
    both = False
    async with injected(stage, "net_partition", (old,), kind="isolate", clients="none"):

        async def noticed() -> str:
            try:
                record = await leads.leader_record()
            except OSError as error:
                return str(error)
            return "" if record != old else f"{old} is to lead"

        await wait_for(noticed, limit + FAILOVER_S_MAX, f"somebody to notice that {old} is cut off")
        detected_s = round(seconds_between(began, now_ns()), 3)
        new, took_s = await toolkit.new_primary(stage, old, began, limit + FAILOVER_S_MAX)
        try:
            await toolkit.write(stage, old, ("INSERT INTO outlast_beat VALUES (now())", ()))
            both = True
        except ClusterError as error:
            stage.say(f"{old} takes no write, as it must be: {error.message}")
    recovery_s = await toolkit.whole(stage)
    return [
        within_limit(
            "detected_s",
            detected_s,
            limit,
            f"{old} was cut off, and another was named to lead, after",
            unit=" s",
        ),
        toolkit.failover_finding(stage, took_s, f"{new} took a write"),
        expect(
            "no_split_brain",
            not both,
            f"{old}, cut off, {'took' if both else 'refused'} a write beside {new}",
            both,
            False,
        ),
        within_limit("recovery_s", recovery_s, REJOIN_S_MAX, "whole again after the heal", unit=" s"),
        await toolkit.replicas_equal(stage),
    ]


def _needs_clinic(stage: Stage) -> None:
    if stage.cluster.spec.dataset != "healthcare":
        raise UnavailableError("it needs the healthcare data: --set dataset=healthcare")


def _logs(stage: Stage) -> list[tuple[str, Path]]:
    cluster = stage.cluster
    if not isinstance(cluster, HasLogs):
        return []
    return [
        (node.name, path)
        for node in cluster.spec.nodes
        for name, path in cluster.log_files(node.name).items()
        if name == "postgresql"
    ]


def _log_sizes(stage: Stage) -> dict[Path, int]:
    return {path: path.stat().st_size if path.exists() else 0 for _, path in _logs(stage)}


def _errors_since(stage: Stage, marks: Mapping[Path, int]) -> list[str]:
    """Return the lines of the servers' logs, written since, that tell of an error that no failover explains."""
    found = []
    for node, path in _logs(stage):
        if not path.exists():
            continue
        start = marks.get(path, 0)
        with path.open("rb") as file:
            file.seek(start if path.stat().st_size >= start else 0)
            text = file.read().decode(errors="replace")
        found += [
            f"{node}: {line.strip()}"
            for line in text.splitlines()
            if _ERROR.search(line) and not EXPECTED_ERRORS.search(line)
        ]
    return found
