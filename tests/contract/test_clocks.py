"""A host's own wall clock: who follows it, who does not, and that sleeping and monotonic time stay as they are."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from skips import cannot, require

from outlast.errors import UnavailableError
from outlast.hosts.base import Clock, Host, Program
from outlast.hosts.netns import clocks
from outlast.hosts.netns.lab import NetnsLab
from outlast.hosts.state import labs_folder
from outlast.pace import scaled
from outlast.systems.postgres.seed import POSTGRES_UID

pytestmark = [pytest.mark.lab, pytest.mark.timeout(60)]

HOUR_S = 3600.0


@contextlib.asynccontextmanager
async def two_hosts() -> AsyncIterator[NetnsLab]:
    """Yield a lab in which h1 has a clock of its own and h2 has not."""
    require(clocks.unavailable())
    try:
        lab = await NetnsLab.create(labs_folder() / "clocks", "172.28.0.0/24", clocks_for=["h1"])
    except UnavailableError as error:
        cannot(error.message)
    await lab.add_host("h1", "172.28.0.11")
    await lab.add_host("h2", "172.28.0.12")
    try:
        yield lab
    finally:
        await lab.destroy()


def clock_of(host: Host) -> Clock:
    assert host.clock is not None
    return host.clock


async def told_s(host: Host, argv: list[str], *, uid: int | None = None) -> float:
    done = await host.run(Program("time", argv, "log/time.log", uid=uid), timeout_s=10)
    assert done.code == 0, done.stderr
    return float(done.stdout)


async def test_programs_and_functions_of_the_host_follow_it_and_no_others() -> None:
    async with two_hosts() as lab:
        host, other = lab.hosts["h1"], lab.hosts["h2"]
        clock_of(host).set(-HOUR_S)
        python = [sys.executable, "-c", "import time; print(time.time())"]
        assert other.clock is None
        for argv in (["date", "+%s.%N"], python):
            assert await told_s(host, argv) - time.time() == pytest.approx(-HOUR_S, abs=5)
            assert await told_s(host, argv, uid=POSTGRES_UID) - time.time() == pytest.approx(-HOUR_S, abs=5)
            assert await told_s(other, argv) - time.time() == pytest.approx(0, abs=5)
        # A Python function, which is otherwise called in a fork of the host's init. sys.exit prints what it returns.
        done = await host.run(Program("time", ["time:time"], "log/time.log", module=True), timeout_s=10)
        assert float(done.stderr) - time.time() == pytest.approx(-HOUR_S, abs=5)


async def test_a_drift_is_even_and_sleep_takes_its_time() -> None:
    async with two_hosts() as lab:
        host = lab.hosts["h1"]
        clock_of(host).set(0.0, pace=3.0)
        code = (
            "import time; a, b = time.time(), time.monotonic(); time.sleep(0.5); "
            "print((time.time() - a) / (time.monotonic() - b))"
        )
        began = time.monotonic()
        assert await told_s(host, [sys.executable, "-c", code]) == pytest.approx(3.0, abs=0.1)
        assert 0.5 <= time.monotonic() - began < 5
        assert clock_of(host).offset_s == pytest.approx((time.monotonic() - began) * 2, abs=0.5)


async def test_a_running_program_follows_at_once() -> None:
    async with two_hosts() as lab:
        host = lab.hosts["h1"]
        code = "import time\nfor _ in range(200): print(time.time(), flush=True); time.sleep(0.01)"
        process = await host.spawn(Program("teller", [sys.executable, "-c", code], "log/teller.log"))
        for offset_s in (HOUR_S, 0.0, -HOUR_S):
            clock_of(host).set(offset_s)
        await process.wait(scaled(10))
        told = [float(line) for line in (await host.get("log/teller.log")).split()]
        assert told[-1] - time.time() == pytest.approx(-HOUR_S, abs=5)


def test_without_a_compiler_it_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OUTLAST_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "C compiler" in (clocks.unavailable() or "")
