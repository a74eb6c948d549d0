"""The nemesis heals what it injects; when it can't, the run fails and another process still can."""

from __future__ import annotations

from typing import Any

import pytest

from outlast.checkers.base import Verdict
from outlast.errors import HostError
from outlast.faults import journal
from outlast.faults.base import Fault, Injection
from outlast.faults.registry import fault
from outlast.systems.base import Cluster

pytestmark = pytest.mark.lab

DRILL = "\n".join(
    (
        "workload: {append: {clients: 8, rate: 100/s}}",
        "timeline:",
        "  - {at: 1s, fault: replay_pause, on: one-standby, heal: 1s}",
        "duration: 4s",
    )
)


async def test_a_heal_that_fails_is_loud_fails_the_run_and_can_be_made_up_for(
    run: Any, cluster: Cluster
) -> None:
    real = fault("replay_pause")

    class Stuck(type(real)):  # type: ignore[misc]
        async def heal(self, cluster: Cluster, injection: Injection) -> None:
            raise HostError("the wrench slipped")

    def stuck(_name: str) -> Fault:
        made: Fault = Stuck()
        return made

    said: list[str] = []
    text = DRILL + "\nrecovery: 3s\n"
    outcome = await run(text, injector=stuck, say=said.append)
    assert outcome.verdict is Verdict.FAIL
    assert any("could not be healed: the wrench slipped" in words for words in said)
    effects = next(one for one in outcome.document.findings if one["name"] == "fault_effects")
    assert (effects["verdict"], effects["summary"]) == ("fail", "1 of 1 faults not healed")
    assert [one.injection.fault for one in journal.entries(cluster.lab)] == ["replay_pause"]
    healed, failed = await journal.heal_all(cluster)
    assert (len(healed), failed) == (1, [])
    assert not (await real.effective(cluster, healed[0])).bit


async def test_a_step_waits_for_its_target_during_a_failover(run: Any, cluster: Cluster) -> None:
    text = "\n".join(
        (
            "workload: {append: {clients: 8, rate: 100/s}}",
            "timeline:",
            "  - {at: 1s, fault: process_kill, on: primary, heal: 1s}",
            "  - {at: 1.4s, fault: backend_terminate, on: primary}",
            "duration: 25s",
        )
    )
    outcome = await run(text)
    assert [one.effective for one in outcome.history.faults] == [True, True], outcome.history.faults
    assert journal.entries(cluster.lab) == ()
