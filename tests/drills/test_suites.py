"""Suites on real clusters: one in the regular run, on the shared lab, and shown failing; the others by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from xml.etree import ElementTree

import pytest
from program import outlast
from skips import require

from outlast.checkers.base import Finding, Verdict
from outlast.errors import UnavailableError
from outlast.suites import toolkit
from outlast.suites.suite import Stage, SuiteCheck, load_suite
from outlast.systems.base import Cluster
from outlast.systems.pg_auto_failover import keeper


def check(suite: str, name: str) -> SuiteCheck:
    return next(one for one in load_suite(suite).checks if one.name == name)


def test_the_replication_suite_passes_with_figures_limits_and_junit(_lab: str, tmp_path: Path) -> None:
    file = tmp_path / "replication.xml"
    done = outlast("suite", "replication", "--lab", _lab, "--junit", str(file), "--json")
    assert done.code == 0, done.out or done.err
    members = {one["drill"]: one for one in done.json["drills"]}
    assert {one["verdict"] for one in members.values()} == {"pass"}
    figures = {one["name"]: one for one in members["catch-up"]["checks"]}
    assert figures["catch_up_s"]["limit"] == 15
    assert figures["catch_up_s"]["margin"] == pytest.approx(15 - figures["catch_up_s"]["value"])
    suites = ElementTree.parse(file).getroot()
    assert len(suites) == len(members)
    assert not list(suites.iter("failure"))


async def test_a_standby_that_receives_nothing_fails_the_suite_by_name(cluster: Cluster) -> None:
    stage = Stage(cluster, 1, print)
    await toolkit.whole(stage)
    behind = next(node.name for node in (await cluster.view()).nodes if node.sync == "async")
    async with toolkit.injected(stage, "walreceiver_block", (behind,)):
        found = {one.name: one for one in await check("replication", "same-bytes").run(stage)}
    assert found["sha256"].verdict is Verdict.FAIL
    assert behind in found["sha256"].summary
    assert found["seconds"].verdict is Verdict.FAIL
    assert (found["seconds"].margin or 0) < 0


async def test_what_needs_the_clinics_data_is_skipped_with_the_reason(cluster: Cluster) -> None:
    with pytest.raises(UnavailableError, match="dataset=healthcare"):
        await check("pgaf", "clinic-health").run(Stage(cluster, 1, print))


@pytest.mark.slow
def test_a_failover_amid_transactions_keeps_them_whole(_lab: str, cluster: Cluster) -> None:
    found = asyncio.run(_on_whole(cluster, check("application", "open-transactions")))
    assert {name: one.summary for name, one in found.items() if one.verdict is not Verdict.PASS} == {}
    assert int(str(found["dropped"].value)) > 0


async def _on_whole(cluster: Cluster, one: SuiteCheck) -> dict[str, Finding]:
    stage = Stage(cluster, 1, print)
    await toolkit.whole(stage)
    return {finding.name: finding for finding in await one.run(stage)}


SUITES = [
    ("failover", "patroni"),
    ("integration", "patroni"),
    ("checklist", "patroni"),
    ("application", "patroni"),
    ("takeover", "patroni"),
    ("node-loss", "patroni"),
    ("partition", "patroni"),
    ("dcs", "patroni"),
    ("clock", "patroni"),
    ("storage", "patroni"),
    ("failover", "pg_auto_failover"),
    ("replication", "pg_auto_failover"),
    ("integration", "pg_auto_failover"),
    ("pgaf", "pg_auto_failover"),
]


def _missing(system: str) -> str:
    try:
        if system == "pg_auto_failover":
            keeper.find(None)
    except UnavailableError as error:
        return error.message
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "system"), SUITES)
def test_a_suite_passes(name: str, system: str) -> None:
    require(_missing(system))
    done = outlast("suite", name, "--system", system, "--profile", "fast", "--json", timeout_s=900)
    assert done.code == 0, done.out or done.err


@pytest.mark.slow
def test_every_known_defect_is_found_and_every_control_is_clean() -> None:
    done = outlast("suite", "track-record", "--json", timeout_s=1800)
    assert done.code == 0, done.out or done.err
    found = [one for one in done.json["drills"] if one.get("outcome") == "expected fail: found"]
    assert len(found) >= 3
