"""What every kind of lab and host must do. A new kind joins by a line in LABS."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from waiting import until_async

from outlast.clusters.residue import find_residue, take_census
from outlast.errors import HostError, UnavailableError
from outlast.hosts.base import Host, Lab, Program
from outlast.hosts.netns import messages
from outlast.hosts.netns.init import SOCKET_NAME as INIT_SOCKET
from outlast.hosts.netns.lab import NetnsLab
from outlast.hosts.state import labs_folder
from outlast.pace import scaled
from outlast.testing.fake_host import FakeLab

LabMaker = Callable[[], AbstractAsyncContextManager[Lab]]


@contextlib.asynccontextmanager
async def netns_lab() -> AsyncIterator[NetnsLab]:
    lab = await NetnsLab.create(labs_folder() / "contract", "172.28.0.0/24")
    census = take_census(lab.folder)
    try:
        yield lab
    finally:
        await lab.destroy()
    assert find_residue(census) == []


@contextlib.asynccontextmanager
async def fake_lab() -> AsyncIterator[FakeLab]:
    lab = FakeLab(labs_folder() / "contract")
    lab.folder.mkdir()
    try:
        yield lab
    finally:
        await lab.destroy()


LABS = [pytest.param(fake_lab, id="fake"), pytest.param(netns_lab, id="netns")]
NETNS = [pytest.param(netns_lab, id="netns")]
any_lab = pytest.mark.parametrize("make_lab", LABS)
real_lab = pytest.mark.parametrize("make_lab", NETNS)


def python(code: str, *words: str, name: str = "python", uid: int | None = None) -> Program:
    return Program(name, [sys.executable, "-c", code, *words], "log/python.log", uid=uid)


async def two_hosts(lab: Lab) -> tuple[Host, Host]:
    return await lab.add_host("h1", "172.28.0.11"), await lab.add_host("h2", "172.28.0.12")


@any_lab
async def test_run_returns_output_input_and_exit_status(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        host = await lab.add_host("h1", "172.28.0.11")
        code = "import sys; print(sys.stdin.read().upper()); print('no', file=sys.stderr); sys.exit(3)"
        done = await host.run(python(code), timeout_s=10, stdin=b"yes")
        assert (done.code, done.stdout, done.stderr) == (3, "YES\n", "no\n")


async def test_a_host_that_is_being_switched_off_is_found_off() -> None:
    """By a tool that died over it: its request is with the lab's init, and nobody waits for the answer."""
    async with netns_lab() as lab:
        host = await lab.add_host("h1", "172.28.0.11")
        for number in range(20):
            await host.spawn(python("import time; time.sleep(60)", name=f"sleeper-{number}"))
        with messages.connect(lab.folder / INIT_SOCKET, 5) as dead_tool:
            messages.send(dead_tool, {"op": "host_off", "name": "h1"})
            found = NetnsLab.open(lab.folder)
        assert not found.hosts["h1"].is_on
        await found.hosts["h1"].power_on()
        assert (await found.hosts["h1"].run(python("print(1)"), timeout_s=10)).code == 0


@any_lab
async def test_run_past_its_time_is_killed_and_raises(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        host = await lab.add_host("h1", "172.28.0.11")
        with pytest.raises(TimeoutError):
            await host.run(python("import time; time.sleep(60)"), timeout_s=0.3)

        async def ended() -> bool:
            return not any(one.name == "python" and one.state != "Z" for one in await host.processes())

        await until_async(ended, "the program to end", 5)


@any_lab
async def test_a_program_that_does_not_exist_is_an_error_that_names_it(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        host = await lab.add_host("h1", "172.28.0.11")
        with pytest.raises(HostError, match="no-such-program") as refused:
            await host.spawn(Program("no-such-program", ["no-such-program"], "log/x.log"))
        assert refused.value.errno == errno.ENOENT


@any_lab
async def test_a_signal_by_name_reaches_the_program_and_its_status_says_so(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        host = await lab.add_host("h1", "172.28.0.11")
        process = await host.spawn(python("import time; time.sleep(60)", name="sleeper"))
        assert await host.signal(signal.SIGKILL, name="sleeper") == [process.pid]
        assert await process.wait(scaled(10)) == -signal.SIGKILL
        assert await host.signal(signal.SIGKILL, name="sleeper") == []


@real_lab
async def test_a_program_gets_the_handling_of_sigpipe_that_it_was_made_for(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        host = await lab.add_host("h1", "172.28.0.11")
        ignored = "import re; print(int(re.search('SigIgn:.(.*)', open('/proc/self/status').read())[1], 16) >> 12 & 1)"
        program = Program("sh", ["sh", "-c", "grep SigIgn /proc/self/status"], "log/sh.log")
        mask = int((await host.run(program, timeout_s=10)).stdout.split()[1], 16)
        assert not mask >> (signal.SIGPIPE - 1) & 1, "a program that is executed must die of a closed pipe"
        module = Program("python", ["code:interact"], "log/python.log", module=True)
        done = await host.run(module, timeout_s=10, stdin=f"{ignored}\n".encode())
        assert "1" in done.stdout, "a Python program that is forked must see EPIPE, as Python promises"


@any_lab
async def test_power_off_ends_every_process_and_keeps_files(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        host = await lab.add_host("h1", "172.28.0.11")
        await host.put("data/kept", b"kept")
        await host.spawn(python("import time; time.sleep(60)", name="sleeper"))
        await host.power_off()
        assert not host.is_on
        with pytest.raises(HostError):
            await host.processes()
        await host.power_on()
        assert [one for one in await host.processes() if one.name == "sleeper"] == []
        assert await host.get("data/kept") == b"kept"


@any_lab
async def test_files_outside_the_hosts_folder_are_refused(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        host = await lab.add_host("h1", "172.28.0.11")
        with pytest.raises(HostError, match="not below"):
            await host.put("../other", b"")
        with pytest.raises(HostError, match="cannot read"):
            await host.get("none")


@any_lab
async def test_a_name_or_address_in_use_is_refused(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        await lab.add_host("h1", "172.28.0.11")
        with pytest.raises(HostError, match="already") as same_name:
            await lab.add_host("h1", "172.28.0.12")
        assert same_name.value.errno == errno.EEXIST
        with pytest.raises(HostError, match="already") as same_address:
            await lab.add_host("h2", "172.28.0.11")
        assert same_address.value.errno == errno.EADDRINUSE


@real_lab
async def test_hosts_have_their_own_processes_files_and_network(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        h1, h2 = await two_hosts(lab)
        await h2.spawn(python("import time; time.sleep(60)", name="sleeper"))
        assert [one.name for one in await h1.processes()] == ["host:h1"]
        code = "import os, socket; print(socket.gethostname(), os.listdir('/tmp'), open('/etc/x', 'w'))"
        done = await h1.run(python(code), timeout_s=10)
        assert done.code == 1
        assert "Read-only file system" in done.stderr
        links = await h1.run(
            python("import socket; print(sorted(n for _, n in socket.if_nameindex()))"), timeout_s=10
        )
        assert links.stdout == "['eth0', 'lo']\n"


@real_lab
async def test_a_program_may_run_as_another_user_and_keeps_its_files(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        host = await lab.add_host("h1", "172.28.0.11")
        done = await host.run(
            python("import os; print(os.geteuid()); open('mine', 'w')", uid=1000), timeout_s=10
        )
        assert done.stdout == "1000\n"
        assert (host.folder / "mine").stat().st_uid == os.geteuid()


@real_lab
async def test_hosts_reach_each_other_and_the_machine_reaches_what_is_published(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        h1, h2 = await two_hosts(lab)
        serve = (
            "import http.server as h; h.HTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
        )
        await h2.spawn(python(serve, name="server"))
        port = await lab.publish("h2", h2.address, 8000, None)
        fetch = (
            "import sys, time, urllib.request as u\n"
            "for _ in range(100):\n"
            "    try: print(u.urlopen(sys.argv[1], timeout=2).status); break\n"
            "    except OSError: time.sleep(0.05)\n"
        )
        inside = await h1.run(python(fetch, f"http://{h2.address}:8000/"), timeout_s=15)
        assert inside.stdout == "200\n"
        url = f"http://127.0.0.1:{port.port}/"
        outside = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=scaled(5)).status)
        assert outside == 200
        (await lab.dial(h2.address, 8000, 2)).close()
        with pytest.raises(ConnectionRefusedError, match="refused"):
            await lab.dial(h1.address, 8000, 2)
        await h1.power_off()
        with pytest.raises(OSError) as silent:
            await lab.dial(h1.address, 8000, 0.2)
        assert silent.value.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH)


@any_lab
async def test_what_refuses_a_connection_is_told_from_what_is_silent(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        host = await lab.add_host("h1", "172.28.0.11")
        with pytest.raises(OSError) as refused:
            await lab.dial(host.address, 1, 2)
        assert refused.value.errno == errno.ECONNREFUSED


@real_lab
async def test_the_machines_files_cannot_be_written_from_a_lab(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        host = await lab.add_host("h1", "172.28.0.11")
        mine = Path(sys.prefix) / "pyvenv.cfg"  # ours to write, outside; and to be seen in any lab
        for where in (lab, host):
            done = await where.run(python("import sys; open(sys.argv[1], 'a')", str(mine)), timeout_s=15)
            assert "Read-only file system" in done.stderr


@real_lab
async def test_a_pinned_port_in_use_is_refused_with_a_hint(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        host = await lab.add_host("h1", "172.28.0.11")
        first = await lab.publish("one", host.address, 80, None)
        with pytest.raises(UnavailableError, match=str(first.port)) as caught:
            await lab.publish("two", host.address, 81, first.port)
        assert caught.value.hint is not None


@real_lab
async def test_a_peer_of_a_powered_off_host_hears_nothing(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        h1, h2 = await two_hosts(lab)
        serve = "import socket, time; s = socket.create_server(('', 8000)); c = s.accept(); time.sleep(60)"
        await h2.spawn(python(serve, name="server"))
        listen = (
            "import socket, time\n"
            "for _ in range(100):\n"
            "    try: s = socket.create_connection(('172.28.0.12', 8000), 2); break\n"
            "    except OSError: time.sleep(0.05)\n"
            "open('connected', 'w')\n"
            "s.settimeout(1.5)\n"
            "try: print('heard', s.recv(1))\n"
            "except TimeoutError: print('silence')\n"
        )
        peer = asyncio.create_task(h1.run(python(listen), timeout_s=15))
        await until_async(lambda: (h1.folder / "connected").exists(), "a connection", 10)
        await h2.power_off()
        assert (await peer).stdout == "silence\n"


@real_lab
async def test_a_lab_can_be_found_again_from_its_folder(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        _h1, h2 = await two_hosts(lab)
        await h2.power_off()
        again = NetnsLab.open(Path(lab.folder))
        assert {name: host.is_on for name, host in again.hosts.items()} == {"h1": True, "h2": False}
        assert (await again.hosts["h1"].run(python("print(1)"), timeout_s=10)).stdout == "1\n"
