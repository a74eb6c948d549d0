"""``bench faults``: what the faults of the network cost, and what it costs that there could be some (faults_idle.py).

Each case is measured in a lab of its own on real packets. A peer is the same traffic in the same lab while no
fault is active; other tools that shape traffic need netem in the kernel or run as proxies.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.case import Case
from benchmarks.faults_idle import cost_while_idle
from outlast.hosts.base import Host, Program
from outlast.hosts.netns.lab import NetnsLab
from outlast.hosts.state import labs_folder
from outlast.net.base import CUT, Conditions, Rule

DELAY_MS = 100.0
PACKETS_PER_S = 36_000
DURATION_S = 4.0
PORT = 7000
ROUNDS = 10

SEND = """
import socket, struct, sys, time
address, port, per_s, duration_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((address, port))
started, sent, clock, pack = time.monotonic(), 0, time.monotonic_ns, struct.Struct('=Q').pack
send, filling = s.send, bytes(56)
while (now := time.monotonic() - started) < duration_s:
    due = int(now * per_s)
    while sent < due:
        send(pack(clock()) + filling)
        sent += 1
    time.sleep(0.0005)
print(sent)
"""

RECEIVE = """
import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
s.bind(('', int(sys.argv[1])))
s.settimeout(10)
open('receiving', 'w').close()
delays, clock, unpack, receive = [], time.monotonic_ns, struct.Struct('=Q').unpack_from, s.recv
first = receive(64); started = clock(); received = 1
s.settimeout(1.0)
try:
    while True:
        raw = receive(64)
        received += 1
        if not received % 16:
            delays.append(clock() - unpack(raw)[0])
        last = clock()
except TimeoutError:
    pass
delays.sort()
print(received, (last - started) / 1e9, delays[len(delays) // 2] / 1e6, delays[len(delays) * 99 // 100] / 1e6)
"""


@contextlib.asynccontextmanager
async def lab_of(count: int) -> AsyncIterator[tuple[NetnsLab, list[Host]]]:
    """Make a lab of so many hosts."""
    lab = await NetnsLab.create(labs_folder() / "bench-faults", "172.28.0.0/24")
    try:
        yield lab, [await lab.add_host(f"host-{n}", f"172.28.0.{10 + n}") for n in range(1, count + 1)]
    finally:
        await lab.destroy()


async def traffic(sender: Host, receiver: Host, per_s: int) -> tuple[float, float, float, float]:
    """Send datagrams at a pace.

    Returns how many arrived per second, p50 and p99 of their delay in ms, and the share that was lost.
    """

    def python(code: str, *words: object) -> Program:
        return Program("traffic", [sys.executable, "-c", code, *map(str, words)], "log/traffic.log")

    ready = receiver.folder / "receiving"
    ready.unlink(missing_ok=True)
    hearing = asyncio.create_task(receiver.run(python(RECEIVE, PORT), timeout_s=DURATION_S + 30))
    while not ready.exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)
    said = await sender.run(
        python(SEND, receiver.address, PORT, per_s, DURATION_S), timeout_s=DURATION_S + 30
    )
    received, lasted_s, p50, p99 = map(float, (await hearing).stdout.split())
    return received / lasted_s, p50, p99, 1 - received / int(said.stdout)


async def delayed_traffic() -> list[Case]:
    """Measure +100 ms on 36,000 packets a second through one node, beside the same without the fault."""
    async with lab_of(2) as (lab, (one, two)):
        plain, _, _, _ = await traffic(one, two, PACKETS_PER_S)
        plan = await lab.net.plan([Rule((one.name,), (two.name,), Conditions(delay_ms=DELAY_MS))])
        await lab.net.apply(plan.rules)
        before_s = await queue_cpu_s(lab)
        rate, p50, p99, lost = await traffic(one, two, PACKETS_PER_S)
        cpu = (await queue_cpu_s(lab) - before_s) / DURATION_S
        await lab.net.heal(plan.ids)
        idle, _, _, _ = await traffic(one, two, PACKETS_PER_S)
    name = "the same traffic, no fault"
    return [
        Case("delay 100 ms: packets through one node", rate, "packets/s", plain, name),
        Case("delay 100 ms: p50", p50, "ms", DELAY_MS, "what was asked for"),
        Case("delay 100 ms: p99", p99, "ms", DELAY_MS, "what was asked for"),
        Case("delay 100 ms: lost", 100 * lost, "%"),
        Case("delay 100 ms: processor", cpu, "cores"),
        Case("healed: packets through one node", idle, "packets/s", plain, "before the fault"),
    ]


async def queue_cpu_s(lab: NetnsLab) -> float:
    """Return the processor time of the lab's queue processes."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and lab.init_pid is not None:
                name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
                fields = rest.split()
                if name.startswith("lab-queues"):
                    ticks += int(fields[11]) + int(fields[12])
    return ticks / 100


async def times() -> list[Case]:
    """Measure how long injecting and healing take, in a lab of six hosts, as the tool sees it."""
    found = []
    async with lab_of(6) as (lab, hosts):
        names = tuple(host.name for host in hosts)
        first, rest = names[:1], names[1:]
        for label, conditions in (
            ("partition", CUT),
            ("delay", Conditions(delay_ms=100)),
            ("loss", Conditions(loss_percent=10)),
            ("duplicate", Conditions(duplicate_percent=10)),
            ("corrupt", Conditions(corrupt_percent=10)),
            ("rate", Conditions(rate_kbit=10_000)),
        ):
            injecting, healing = [], []
            for _ in range(ROUNDS):
                started = time.perf_counter()
                rules = [Rule(first, rest, conditions), Rule(rest, first, conditions)]
                plan = await lab.net.plan(rules)
                await lab.net.apply(plan.rules)
                injected = time.perf_counter()
                await lab.net.heal(plan.ids)
                healing.append(time.perf_counter() - injected)
                injecting.append(injected - started)
            found.append(Case(f"inject {label}, one of six hosts", 1000 * statistics.median(injecting), "ms"))
            found.append(Case(f"heal {label}, one of six hosts", 1000 * statistics.median(healing), "ms"))
    return found


def cases() -> list[Case]:
    """Return all cases about the network. Two to three minutes."""
    return asyncio.run(_network())


async def _network() -> list[Case]:
    return [*await delayed_traffic(), *await times(), *await cost_while_idle()]
