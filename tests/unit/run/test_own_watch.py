"""What the tool notes of its own machine, and how long a load goes on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import pytest
from histories import fault
from waiting import for_s, until, until_async

from outlast.checkers.outage import Outage
from outlast.clock import now_ns
from outlast.config import load_drill
from outlast.history.history import FaultRecord
from outlast.run.checks import Terms, make_checkers
from outlast.run.drill import OUTLAST_S, STEP_DOWN_NS, outlast_outage
from outlast.run.load import Load
from outlast.run.own_watch import OwnWatch
from outlast.units import NS_PER_S


def kernel(proc: Path, *, pressure_us: int | None, stolen: int = 0, running: int = 1) -> Path:
    """Write what a kernel tells of itself into a folder."""
    (proc / "pressure").mkdir(parents=True, exist_ok=True)
    if pressure_us is not None:
        (proc / "pressure/cpu").write_text(
            f"some avg10=0.00 avg60=0.00 avg300=0.00 total={pressure_us}\nfull …\n"
        )
    (proc / "stat").write_text(f"cpu  1 2 3 4 5 6 7 {stolen} 0 0\n")
    (proc / "loadavg").write_text(f"1.00 1.00 1.00 {running}/300 999\n")
    return proc


async def test_pressure_and_steal_are_noted_from_the_first_moment_to_the_last(tmp_path: Path) -> None:
    watch = OwnWatch(kernel(tmp_path, pressure_us=1_000_000))
    ticks = os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1)
    async with watch.running():
        kernel(tmp_path, pressure_us=3_500_000, stolen=2 * ticks)
    first, last = watch.lateness().samples
    assert (last[1] - first[1], last[2] - first[2]) == (2.5, 2)


async def test_a_kernel_without_pressure_says_when_more_could_run_than_there_are_cores(
    tmp_path: Path,
) -> None:
    watch = OwnWatch(kernel(tmp_path, pressure_us=None, running=1000))
    async with watch.running():
        pass
    (start_ns, _, _), (end_ns, wanted_s, _) = watch.lateness().samples
    assert wanted_s == pytest.approx((end_ns - start_ns) / NS_PER_S)


async def test_a_loop_that_is_held_up_is_noted(tmp_path: Path) -> None:
    watch = OwnWatch(kernel(tmp_path, pressure_us=0))
    async with watch.running():
        await until_async(lambda: watch.ticks > 0, "a first tick")
        began = now_ns()
        until(for_s(0.4), "the loop to be held up")
        await until_async(lambda: watch.lateness().lags, "the lag to be noted")
    assert watch.lateness().lag_s(began, now_ns()) > 0.1


class Acks:
    """A load whose last acknowledgements are those given, one look after another."""

    def __init__(self, *looks: int) -> None:
        self.looks = list(looks)
        self.asked = 0

    def last_acks(self) -> dict[str, int]:
        """Return those of the next look; the last stays."""
        self.asked += 1
        return {"append": self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]}


def healed(at_ns: int) -> tuple[FaultRecord, ...]:
    one = fault(0)
    return (FaultRecord(one.fault, one.targets, 0, 0, 0, at_ns, True, ""),)


async def test_a_load_goes_on_until_an_acknowledgement_that_is_later_than_a_step_down() -> None:
    now = now_ns()
    load = Acks(now - 1, now, now + STEP_DOWN_NS - 1, now + STEP_DOWN_NS, 0)
    await outlast_outage(cast(Load, load), (Outage(limit=20.0),), healed(now), 30.0)
    assert load.looks == [0]


async def test_the_checks_of_a_drill_are_those_that_a_load_waits_for() -> None:
    terms = Terms(load_drill("primary-power-off"), 20.0, 1, {})
    now = now_ns()
    load = Acks(now - 1, now + STEP_DOWN_NS, 0)
    await outlast_outage(cast(Load, load), make_checkers(terms), healed(now), 30.0)
    assert load.looks == [0]


async def test_a_load_ends_when_the_outage_is_longer_than_it_may_be() -> None:
    now = now_ns()
    load = Acks(now - int((1 + OUTLAST_S) * NS_PER_S))
    await outlast_outage(cast(Load, load), (Outage(limit=1.0),), healed(now), 30.0)
    assert load.asked == 1


async def test_where_no_outage_is_judged_or_none_was_healed_a_load_ends_at_its_time() -> None:
    load = Acks(0)
    await outlast_outage(cast(Load, load), (), healed(1), 30.0)
    await outlast_outage(cast(Load, load), (Outage(limit=20.0),), (), 30.0)
    assert load.asked == 0
