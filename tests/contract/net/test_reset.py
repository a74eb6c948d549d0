"""Resets on real connections: those between the hosts in question break, others live."""

from __future__ import annotations

import asyncio
import sys

import pytest
from waiting import until_async

from outlast.errors import HostError
from outlast.faults.net_reset import NetReset
from outlast.hosts.base import Program

pytestmark = pytest.mark.lab

ONE, TWO, DCS = "pg-node-1", "pg-node-2", "etcd-node-1"
RESET = NetReset()

SERVE = """
import socket, time
server = socket.create_server(('', 5432))
held = []
while True:
    held.append(server.accept())
"""
TALK = """
import socket, sys
s = socket.create_connection((sys.argv[1], 5432), 5)
open('connected', 'w')
s.settimeout(float(sys.argv[2]))
try:
    print('heard', s.recv(1))
except TimeoutError:
    print('silence')
except OSError as error:
    print(type(error).__name__)
"""


async def talk(cluster, source: str, destination: str, patience_s: float) -> asyncio.Task[str]:
    host = cluster.lab.hosts[source]
    argv = [sys.executable, "-c", TALK, cluster.lab.hosts[destination].address, str(patience_s)]

    async def run() -> str:
        return str((await host.run(Program("talk", argv, "log/talk.log"), timeout_s=30)).stdout.strip())

    task = asyncio.create_task(run())
    await until_async(lambda: (host.folder / "connected").exists() or task.done(), "a connection", 10)
    assert not task.done()
    return task


async def test_the_targets_connections_break_and_others_live(make_cluster) -> None:
    async with make_cluster() as cluster:
        for name in (ONE, DCS):
            await cluster.lab.hosts[name].spawn(
                Program("serve", [sys.executable, "-c", SERVE], "log/serve.log")
            )
            await listening(cluster, name)
        broken = await talk(cluster, TWO, ONE, 5)
        lives = await talk(cluster, "client-1", DCS, 1)
        assert RESET.available(cluster) is None
        injection = await cluster.inject(RESET, ONE)
        effect = await cluster.effect(RESET, injection)
        assert effect.bit, effect.words
        assert await broken in ("ConnectionResetError", "ConnectionAbortedError")
        assert await lives == "silence"
        await cluster.heal(RESET, injection)


async def listening(cluster, name: str) -> None:
    async def answers() -> bool:
        try:
            (await cluster.lab.dial(cluster.lab.hosts[name].address, 5432, 1)).close()
        except (ConnectionError, HostError):
            return False
        return True

    await until_async(answers, f"{name} to listen", 10)


async def test_a_reset_that_did_not_happen_is_told(make_cluster, monkeypatch) -> None:
    async with make_cluster() as cluster:
        injection = await cluster.inject(RESET, ONE)
        assert (await cluster.effect(RESET, injection)).bit is False, "there was no connection"
        await cluster.lab.hosts[ONE].spawn(Program("serve", [sys.executable, "-c", SERVE], "log/serve.log"))
        await listening(cluster, ONE)
        lives = await talk(cluster, TWO, ONE, 1)
        monkeypatch.setattr(cluster.lab.net, "reset", cluster.lab.net.connections)
        injection = await cluster.inject(RESET, ONE, ports=5432)
        assert (await cluster.effect(RESET, injection)).bit is False
        assert await lives == "silence"
