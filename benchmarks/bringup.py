"""``bench bringup``: from nothing to all nodes streaming, and with ``bench destroy`` back to nothing again.

Ours is the whole of it: namespaces, wires, passwords, etcd, Patroni in charge of every node. The peer is
benchmarks/bare_cluster.py. Both replicate asynchronously and use the same PostgreSQL and seed, in one run, in turns.
With a synchronous standby, as the presets have it, Patroni takes some two seconds more to write it down.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bare_cluster import bare_cluster
from benchmarks.case import Case
from outlast.clock import now_ns, seconds_between
from outlast.clusters import lifecycle
from outlast.config import load_cluster
from outlast.errors import UnavailableError
from outlast.systems.pg_auto_failover import keeper
from outlast.systems.pgpool.system import TOOLS
from outlast.systems.postgres.install import PostgresInstall, find
from outlast.systems.postgres.seed import seed_path
from outlast.systems.programs import missing

PRESETS = {"patroni-3": "patroni", "six-node": "six-node"}
ROUNDS = 5
PEER = "bare PostgreSQL"


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds that it took to come up and to be removed."""

    up_s: float
    down_s: float


def cases(rounds: int = ROUNDS) -> list[Case]:
    """Return the medians of some rounds for each preset. About a minute and a half."""
    found = []
    for name, preset in PRESETS.items():
        ours, peers = turns(preset, rounds)
        mine = statistics.median(turn.up_s for turn in ours)
        found.append(Case(name, mine, "s", statistics.median(turn.up_s for turn in peers), PEER))
    whole = [our_turn("patroni", "on").up_s for _ in range(rounds)]
    found.append(Case("patroni-3, one standby synchronous", statistics.median(whole), "s"))
    return [*found, *_streaming(rounds), *_pg_auto_failover(rounds)]


def _streaming(rounds: int) -> list[Case]:
    """Return the cases of servers without a manager, and of a Pgpool-II before them where it is installed."""
    found = []
    for preset in ("streaming", *(() if missing(*TOOLS) else ("pgpool",))):
        mine = [our_turn(preset) for _ in range(rounds + 1)][1:]
        with tempfile.TemporaryDirectory() as folder:
            peers = [peer_turn(Path(folder) / str(number), 3) for number in range(rounds)]
        found += [
            Case(
                f"{preset}-3",
                statistics.median(turn.up_s for turn in mine),
                "s",
                statistics.median(turn.up_s for turn in peers),
                PEER,
            ),
            Case(f"{preset}-3, removed", statistics.median(turn.down_s for turn in mine), "s"),
        ]
    return found


def _pg_auto_failover(rounds: int) -> list[Case]:
    """Return the case of a monitor and three nodes under pg_auto_failover; none where it is not installed."""
    try:
        _program, install = keeper.find(None)
    except UnavailableError:
        return []
    ours = [our_turn("pg_auto_failover").up_s for _ in range(rounds + 1)][1:]
    with tempfile.TemporaryDirectory() as folder:
        peers = [peer_turn(Path(folder) / str(number), 3, install).up_s for number in range(rounds)]
    return [Case("pg_auto_failover-3", statistics.median(ours), "s", statistics.median(peers), PEER)]


def turns(preset: str, rounds: int) -> tuple[list[Turn], list[Turn]]:
    """Return our turns and the peer's; the two take turns to go first. One round before them warms the caches."""
    nodes = len(load_cluster(preset).nodes)
    ours: list[Turn] = []
    peers: list[Turn] = []
    with tempfile.TemporaryDirectory() as folder:
        our_turn(preset)
        for number in range(rounds):
            if number % 2:
                peers.append(peer_turn(Path(folder) / str(number), nodes))
            ours.append(our_turn(preset))
            if not number % 2:
                peers.append(peer_turn(Path(folder) / str(number), nodes))
    return ours, peers


def our_turn(preset: str, sync: str = "off") -> Turn:
    """Bring a preset up and down."""
    spec = load_cluster(preset, [f"sync={sync}", "ports={}", "dataset=null"])

    async def turn() -> Turn:
        name = lifecycle.free_name("bench")
        up = await lifecycle.bring_up(spec, name, lambda _words: None, keep=False)
        start = now_ns()
        removed = await lifecycle.take_down(name)
        if removed.residue:
            raise RuntimeError(f"left behind: {', '.join(removed.residue)}")
        return Turn(up.ready_s, seconds_between(start, now_ns()))

    return asyncio.run(turn())


def peer_turn(folder: Path, nodes: int, install: PostgresInstall | None = None) -> Turn:
    """Bring bare servers up and down, from the seed that our own bring-up has made."""
    install = install or find(None)
    with bare_cluster(folder, install, seed_path(install, checksums=True), nodes) as cluster:
        start = now_ns()
        cluster.up()
        whole = now_ns()
        cluster.down()
        return Turn(seconds_between(start, whole), seconds_between(whole, now_ns()))
