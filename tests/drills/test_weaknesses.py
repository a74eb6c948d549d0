"""Weaknesses that systems really have are found, and the setting that closes them is seen to close them.

Each needs a cluster with settings of its own, so these bring one up. The whole table is in tests/proof.
"""

from __future__ import annotations

from typing import Any

import pytest
from program import outlast

from outlast.checkers.base import Verdict
from outlast.faults.registry import fault
from outlast.systems.base import Cluster

pytestmark = pytest.mark.lab


@pytest.mark.slow
def test_asynchronous_replication_loses_what_a_cut_off_primary_acknowledged() -> None:
    done = outlast(
        "drill",
        "primary-partition",
        "--profile",
        "fast",
        "--set",
        "sync=off",
        "--set",
        "duration=40",
        "--json",
    )
    assert done.code == 1, done.err
    run = done.json
    assert run["acked_lost"] > 0
    lost = next(check for check in run["checks"] if check["name"] == "lost_writes")
    assert lost["verdict"] == "fail"
    assert lost["evidence"][0]["details"]["node"] == "pg-node-1"
    assert "datagrams vanished" in run["faults"][0]["evidence"]


@pytest.mark.slow
def test_a_primary_without_manager_or_watchdog_makes_two_writers() -> None:
    settings = ["sync=off", "watchdog=off", "duration=40"]
    words = [word for text in settings for word in ("--set", text)]
    done = outlast("drill", "manager-kill", "--profile", "fast", *words, "--json")
    assert done.code == 1, done.err
    assert done.json["two_writers_s"] > 1
    assert done.json["acked_lost"] > 0


async def test_a_switchover_loses_nothing_and_pauses_writes_briefly(run: Any, cluster: Cluster) -> None:
    text = (
        "workload: {append: {clients: 8, rate: 100/s}}\n"
        "timeline:\n  - {at: 1s, action: switchover}\n"
        "duration: 8s\n"
    )
    outcome = await run(text)
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
    (record,) = outcome.history.faults
    assert record.effective is True


@pytest.mark.slow
async def test_a_paused_process_is_seen_to_be_stopped_and_goes_on(run: Any) -> None:
    text = (
        "workload: {append: {clients: 8, rate: 100/s}}\n"
        "timeline:\n  - {at: 1s, fault: process_pause, on: one-standby, heal: 2s}\n"
        "duration: 6s\n"
    )
    outcome = await run(text)
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
    (record,) = outcome.history.faults
    assert "stopped" in record.evidence
    assert fault("process_pause").name == record.fault
