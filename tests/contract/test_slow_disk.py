"""A disk that is held to a pace: who waits for it, who must not, and that no device keeps a limit of ours."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest
from skips import cannot, require
from waiting import until_async

from outlast.clusters.residue import find_residue, take_census
from outlast.errors import UnavailableError
from outlast.hosts.base import Disk, DiskPace, Host, Program
from outlast.hosts.netns import disks, throttle
from outlast.hosts.netns.lab import NetnsLab
from outlast.hosts.state import labs_folder

pytestmark = [pytest.mark.lab, pytest.mark.alone, pytest.mark.timeout(90)]

SLOW = DiskPace(write_iops=4)
SLOW_MS = 250.0
"""The least that a write and its flush take at that pace, with the kernel's slack taken off."""


@contextlib.asynccontextmanager
async def one_disk(name: str = "slow") -> AsyncIterator[tuple[NetnsLab, Host, Disk]]:
    """Yield a lab, its host, and the disk of that."""
    require(disks.unavailable() or throttle.unavailable())
    try:
        lab = await NetnsLab.create(labs_folder() / name, "172.28.0.0/24", disks_for=["h1"])
    except UnavailableError as error:
        cannot(error.message)
    try:
        host = await lab.add_host("h1", "172.28.0.11")
        assert host.disk is not None
        yield lab, host, host.disk
    finally:
        await lab.destroy()


def timing(what: str = "write") -> Program:
    argv = ["outlast.faults.host_agents:time_disk", what, "4096", "3", "6", "0.5"]
    return Program("time-disk", argv, "log/time.log", module=True)


async def took_ms(host: Host, what: str = "write") -> float:
    done = await host.run(timing(what), timeout_s=20)
    assert done.code == 0, done.stderr
    return min(float(word) for word in done.stdout.split()[1:])


async def test_a_write_waits_as_long_as_the_pace_says_and_a_read_does_not() -> None:
    async with one_disk() as (_lab, host, disk):
        assert disk.pace is None
        assert await took_ms(host) < SLOW_MS / 4
        await disk.set_pace(SLOW)
        assert disk.pace == SLOW
        assert await took_ms(host) > SLOW_MS
        assert await took_ms(host, "read") < SLOW_MS / 4
        await disk.set_pace(DiskPace(read_iops=4))
        assert await took_ms(host) < SLOW_MS / 4
        assert await took_ms(host, "read") > SLOW_MS / 2
        await disk.set_pace(None)
        await disk.set_pace(None)
        assert await took_ms(host, "read") < SLOW_MS / 4


async def test_a_slow_disk_is_slow_after_a_loss_of_power_and_its_old_device_is_not() -> None:
    async with one_disk() as (lab, host, disk):
        await disk.set_pace(SLOW)
        (old,) = throttle.devices(lab.folder)
        await host.plug(False)
        await disk.stop()
        await host.power_off()
        await disk.start()
        await host.power_on()
        (new,) = throttle.devices(lab.folder)
        assert new != old
        assert throttle.left([old], lab.folder) == []
        assert await took_ms(host) > SLOW_MS
        await disk.set_pace(None)
        assert throttle.left([old, new], lab.folder) == []
        assert await took_ms(host) < SLOW_MS / 4


async def test_nothing_that_waits_for_a_slow_disk_delays_power_off_or_down() -> None:
    async with one_disk() as (lab, host, disk):
        for end in (host.power_off, lab.destroy):
            await disk.set_pace(DiskPace(write_bps=8192))
            size = str(1024 * 1024)  # two minutes' worth
            argv = ["dd", "if=/dev/zero", f"of=big-{end.__name__}", f"bs={size}", "count=1", "conv=fsync"]
            await host.spawn(Program("dd", argv, "log/dd.log"))

            async def waits(host: Host = host) -> bool:
                return any(one.name == "dd" and one.state == "D" for one in await host.processes())

            await until_async(waits, "dd to wait in the kernel")
            began = time.monotonic()
            await end()
            assert time.monotonic() - began < 5, f"{end.__qualname__} waited for the slow disk"
            if lab.is_running:
                assert disk.pace is not None
                await host.power_on()


async def test_a_limit_outlives_no_lab_even_one_whose_init_was_killed() -> None:
    async with one_disk() as (lab, _host, disk):
        await disk.set_pace(SLOW)
        slowed = throttle.devices(lab.folder)
        census = take_census(lab.folder)
        assert census.slowed == slowed
        pid = lab.init_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)  # the device goes with its last mount, the limit stays
        await until_async(lambda: not lab.is_running, "the lab's end")
        assert [line for line in find_residue(census) if "block device" in line]
        await NetnsLab.open(lab.folder).destroy()
        assert find_residue(census) == []


@pytest.mark.slow
async def test_a_device_with_a_limit_that_somebody_left_is_not_slow_in_a_new_lab() -> None:
    async with one_disk("first") as (lab, _host, disk):
        await disk.set_pace(SLOW)
        (device,) = throttle.devices(lab.folder)
        record = next((lab.folder / "disks").glob("*.pace"))
        kept = record.read_bytes()
        record.unlink()  # as if it had been lost: nobody knows of the limit any more
        await lab.destroy()
        assert throttle.left([device], lab.folder) != []
        async with one_disk("second") as (_lab, host, _disk):
            assert throttle.left([device], _lab.folder) == []
            assert await took_ms(host) < SLOW_MS / 4
            # And the first lab, taken down late, leaves alone what is another's by now.
            await _disk.set_pace(SLOW)
            record.parent.mkdir(parents=True)
            record.write_bytes(kept)
            if throttle.devices(_lab.folder) == {device}:
                throttle.end_all(lab.folder)
                assert throttle.left([device], _lab.folder) != []
