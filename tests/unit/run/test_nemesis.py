"""The nemesis records what happened, whatever happened: unit tests with faults made for them."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from outlast.clock import now_ns
from outlast.errors import HostError
from outlast.faults.base import Effect, Fault, Injection, Mechanism
from outlast.pace import factor
from outlast.run.nemesis import Nemesis
from outlast.run.plan import PlannedInjection
from outlast.systems.base import Cluster
from outlast.units import NS_PER_S

SECOND_NS = int(factor() * NS_PER_S)
"""A second of these tests, as long as this machine needs."""


class Toy(Fault):
    """A fault on nothing. fails: which of its three acts raises."""

    name, about, mechanism = "toy", "", Mechanism.SIGNAL

    def __init__(self, fails: str = "", bites: bool = True) -> None:
        self.fails, self.bites = fails, bites
        self.healed = 0

    async def prepare(
        self, cluster: Any, targets: tuple[str, ...], params: Mapping[str, Any], rng: random.Random
    ) -> Injection:
        return Injection(self.name, targets, params)

    async def act(self, cluster: Any, injection: Injection) -> None:
        if self.fails == "act":
            raise HostError("no such wire")

    async def effective(self, cluster: Any, injection: Injection) -> Effect:
        if self.fails == "effective":
            raise HostError("cannot look")
        return Effect(self.bites, "looked")

    async def heal(self, cluster: Any, injection: Injection) -> None:
        self.healed += 1
        if self.fails == "heal":
            raise HostError("stuck")


class ToyCluster:
    model = SimpleNamespace(outage_s=0.2)

    def __init__(self, primary: str = "n2") -> None:
        self._primary = primary
        self._folder = tempfile.TemporaryDirectory()
        self.lab = SimpleNamespace(hosts={"n1": None}, folder=Path(self._folder.name))

    async def primary(self) -> str:
        return self._primary


async def run(toy: Toy, heal: str | float = "end", at_s: float = 0.05, cluster: Any = None) -> Nemesis:
    start = now_ns()
    nemesis = Nemesis(
        cluster or cast(Cluster, ToyCluster()),
        (PlannedInjection(at_s, "toy", "n1", {}, heal),),
        1,
        print,
        lambda _name: toy,
    )
    nemesis.begin(start)
    await nemesis.run(start + int(0.5 * SECOND_NS))
    return nemesis


async def test_a_fault_that_bit_is_recorded_with_its_times_and_healed_at_the_end() -> None:
    toy = Toy()
    (record,) = (await run(toy)).records
    assert (record.fault, record.targets, record.effective, record.evidence) == (
        "toy",
        ("n1",),
        True,
        "looked",
    )
    assert record.planned_ns <= record.started_ns <= record.at_ns < record.planned_ns + 0.2 * SECOND_NS
    assert record.healed_ns is not None
    assert record.healed_ns >= record.planned_ns + 0.4 * SECOND_NS
    assert toy.healed == 1


async def test_a_fault_heals_after_its_time_or_once_another_node_leads() -> None:
    for heal in (0.1, "after_failover"):
        (record,) = (await run(Toy(), heal)).records
        assert record.healed_ns is not None
        assert record.healed_ns < record.planned_ns + 0.35 * SECOND_NS


async def test_without_a_failover_the_wait_for_it_is_bounded() -> None:
    (record,) = (await run(Toy(), "after_failover", cluster=ToyCluster("n1"))).records
    assert record.healed_ns is not None


async def test_a_fault_that_did_not_bite_is_looked_at_for_a_while_and_said(monkeypatch: Any) -> None:
    monkeypatch.setattr("outlast.run.injections.EFFECT_TIMEOUT_S", 0.02)
    (record,) = (await run(Toy(bites=False))).records
    assert record.effective is False


async def test_what_cannot_be_injected_looked_at_or_healed_is_a_record(monkeypatch: Any) -> None:
    monkeypatch.setattr("outlast.run.injections.EFFECT_TIMEOUT_S", 0.02)
    (record,) = (await run(Toy("act"))).records
    assert record.effective is False
    assert "no such wire" in record.evidence
    (record,) = (await run(Toy("effective"))).records
    assert record.effective is None
    assert "cannot look" in record.evidence
    (record,) = (await run(Toy("heal"))).records
    assert record.healed_ns is None
    assert "NOT HEALED: stuck" in record.evidence


async def test_a_look_that_the_end_cuts_short_is_no_proof_that_a_fault_did_not_bite() -> None:
    class Slow(Toy):
        async def effective(self, cluster: Any, injection: Injection) -> Effect:
            await asyncio.Event().wait()
            return Effect(False, "never reached")

    (record,) = (await run(Slow())).records
    assert record.effective is None
    assert "ended before" in record.evidence


async def test_a_fault_that_showed_in_no_look_until_the_end_did_not_bite(monkeypatch: Any) -> None:
    monkeypatch.setattr("outlast.run.injections.EFFECT_TIMEOUT_S", 60)
    (record,) = (await run(Toy(bites=False))).records
    assert record.effective is False
    assert record.evidence == "looked"


async def test_a_step_after_the_end_never_happens() -> None:
    assert (await run(Toy(), at_s=5)).records == []
