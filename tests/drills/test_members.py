"""Drills on members of a Raft group: what holds, and that what does not hold is found."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from labs import lab_up
from skips import require, unless

from outlast.checkers.base import Verdict
from outlast.clusters import lifecycle
from outlast.config import DrillSpec, load_cluster, load_drill
from outlast.hosts.netns import disks
from outlast.hosts.state import runs_folder
from outlast.run.conclude import RunResult
from outlast.run.drill import run_drill
from outlast.run.prepare import plan_drill, prepare_drill
from outlast.run.request import RunRequest
from outlast.systems.base import Cluster

LEADER_KILL = """
workload: {log: {clients: 8, rate: 100/s}}
timeline:
  - {at: 1s, fault: process_kill, on: primary, heal: 2s, params: {process: server}}
duration: 6s
checks: {acked_lost: 0, outage_s: 5s, replicas_equal: true}
"""
MINORITIES = """
workload: {log: {clients: {follow: 8, pinned: on}, rate: 100/s}}
timeline:
  - {at: 1s, fault: net_partition, on: majority, heal: 2s, params: {kind: isolate}}
duration: 9s
checks: {acked_lost: 0, accepted_without_majority: 0, writable_again_s: 10s, outage_s: 10s}
"""
REGISTERS = """
workload: {kv: {clients: 8, rate: 100/s}}
timeline:
  - {at: 1s, fault: net_partition, on: primary, heal: 2s, params: {kind: isolate}}
duration: 5s
"""
POWER = """
workload: {log: {clients: 8, rate: 100/s}}
timeline:
  - {at: 2s, fault: power_loss, on: all, heal: 1s}
duration: 8s
checks: {acked_lost: 0, outage_s: 10s}
"""


async def _on_new_lab(text: str, system: str, file: Path, *overrides: str) -> RunResult:
    file.write_text(text)
    drill = load_drill(str(file))
    spec = load_cluster(system, ["ports={}", *overrides])
    async with lifecycle.temporary(spec, f"members-{system}", lambda _words: None, keep=False) as up:
        return await _run(up.cluster, drill, runs_folder() / file.stem)


async def _run(cluster: Cluster, drill: DrillSpec, folder: Path) -> RunResult:
    prepared = prepare_drill(plan_drill(drill, cluster.spec), cluster)
    return await run_drill(cluster, prepared, RunRequest(seed=3, say=print, new_folder=lambda _name: folder))


@pytest.fixture(scope="module")
def lab(_session_state: Path) -> Iterator[str]:
    with lab_up(_session_state, "members", load_cluster("raftlog")) as name:
        yield name


def run(lab: str, text: str, file: Path) -> RunResult:
    file.write_text(text)
    drill = load_drill(str(file))

    async def go() -> RunResult:
        folder = runs_folder() / f"{file.parent.name}-{file.stem}"
        return await _run(lifecycle.attach(lab), drill, folder)

    return asyncio.run(go())


def findings(outcome: RunResult) -> dict[str, str]:
    return {str(one["name"]): str(one["verdict"]) for one in outcome.document.findings}


@pytest.mark.slow
def test_a_killed_leader_is_replaced_and_every_acknowledged_message_is_there(
    lab: str, tmp_path: Path
) -> None:
    outcome = run(lab, LEADER_KILL, tmp_path / "leader.yaml")
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
    assert outcome.history.final is not None
    assert len(outcome.history.final.values["log"]) > 300


def test_members_without_a_majority_accept_nothing(lab: str, tmp_path: Path) -> None:
    outcome = run(lab, MINORITIES, tmp_path / "minorities.yaml")
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
    assert findings(outcome)["accepted_without_majority"] == "pass"


@pytest.mark.slow
def test_registers_are_linearizable_while_the_leader_is_cut_off(lab: str, tmp_path: Path) -> None:
    outcome = run(lab, REGISTERS, tmp_path / "registers.yaml")
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
    assert findings(outcome)["linearizable"] == "pass"


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["embedded", "machine"])
@pytest.mark.parametrize("text", [MINORITIES, REGISTERS], ids=["minorities", "registers"])
def test_the_same_holds_for_etcd(text: str, choice: str, tmp_path: Path) -> None:
    from outlast.clusters.system_registry import system

    require(system("etcd").available(load_cluster("etcd", [f"etcd={choice}"])))
    outcome = asyncio.run(_on_new_lab(text, "etcd", tmp_path / f"etcd-{choice}.yaml", f"etcd={choice}"))
    assert outcome.verdict is Verdict.PASS, outcome.document.findings


@pytest.mark.slow
@unless(disks.unavailable())
@pytest.mark.parametrize("fsync", ["on", "off"])
def test_power_loss_loses_messages_only_where_nothing_was_synced(fsync: str, tmp_path: Path) -> None:
    file = tmp_path / f"power-{fsync}.yaml"
    outcome = asyncio.run(_on_new_lab(POWER, "raftlog", file, "disks=on", f"fsync={fsync}"))
    lost = next(one for one in outcome.document.findings if one["name"] == "lost_writes")
    if fsync == "on":
        assert outcome.verdict is Verdict.PASS, outcome.document.findings
    else:
        assert outcome.verdict is Verdict.FAIL
        assert int(str(lost["value"])) > 0


@pytest.mark.slow
@unless(disks.unavailable())
@pytest.mark.parametrize("fault", ["disk_full", "disk_read_only"])
def test_a_member_whose_disk_takes_nothing_costs_no_message(fault: str, tmp_path: Path) -> None:
    text = POWER.replace("power_loss, on: all, heal: 1s", f"{fault}, on: one-standby, heal: 3s")
    file = tmp_path / f"{fault}.yaml"
    outcome = asyncio.run(_on_new_lab(text, "raftlog", file, "disks=on"))
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
