"""Suite ``consensus``: what a store that others rely on must do, asked of each of its members.

Source: requirement C3, which asks three members of etcd. These run on any system whose members take keys.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from outlast.checkers.base import Finding
from outlast.clock import now_ns, seconds_between
from outlast.errors import ClusterError
from outlast.suites.suite import Stage, SuiteCheck, expect
from outlast.suites.toolkit import injected
from outlast.systems.base import HasConsensus, HasKeys, Role
from outlast.systems.wait import wait_for, wait_until_ready

TITLE: Final = "What a consensus store promises, asked of each of its members"
SYSTEM: Final = "etcd"
DRILLS: Final = ("kv-partition", "kv-leader-kill")

ELECTION_S_MAX: Final = 30.0
"""What requirement C3 allows; etcd's own time-outs make it about 2 s."""

WRITES: Final = 50
WHOLE_TIMEOUT_S: Final = 60.0


async def _members_healthy(stage: Stage) -> Sequence[Finding]:
    view = await stage.cluster.view()
    ill = [f"{node.name} is {node.state}" for node in view.nodes if not node.healthy]
    wanted = len(stage.cluster.spec.nodes)
    return [
        expect("healthy", not ill, "; ".join(ill) or f"{len(view.nodes)} members are healthy"),
        expect("members", len(view.nodes) == wanted, f"{len(view.nodes)} members", len(view.nodes), wanted),
    ]


async def _one_leader(stage: Stage) -> Sequence[Finding]:
    view = await stage.cluster.view()
    leaders = [node.name for node in view.nodes if node.role is Role.PRIMARY]
    terms = {node.timeline for node in view.nodes}
    agreed = await _consensus(stage).leader_record()
    words = f"{', '.join(leaders) or 'nobody'} leads in term {', '.join(map(str, terms))}; a majority names {agreed}"
    return [expect("one_leader", leaders == [agreed] and len(terms) == 1, words)]


async def _visible_on_all(stage: Stage) -> Sequence[Finding]:
    keys, nodes = _keys(stage), _nodes(stage)
    value = f"seen-{stage.seed}"
    await keys.put_key(nodes[0], "outlast-visible", value)
    seen = {node: await keys.get_key(node, "outlast-visible") for node in nodes}
    same = all(found == value for found in seen.values())
    return [expect("visible", same, f"written at {nodes[0]}, read at each: {seen}")]


async def _many_writes(stage: Stage) -> Sequence[Finding]:
    keys, nodes = _keys(stage), _nodes(stage)
    for number in range(WRITES):
        await keys.put_key(nodes[number % len(nodes)], f"outlast-many-{number}", str(number))
    wrong = 0
    for node in nodes:
        for number in range(WRITES):
            wrong += await keys.get_key(node, f"outlast-many-{number}") != str(number)
    read = WRITES * len(nodes)
    return [
        expect("on_all", not wrong, f"{WRITES} writes, {read - wrong} of {read} reads as written", wrong, 0)
    ]


async def _re_election(stage: Stage) -> Sequence[Finding]:
    consensus, keys = _consensus(stage), _keys(stage)
    old = await consensus.dcs_leader()
    if old is None:
        raise ClusterError("no member leads")
    others = [node for node in _nodes(stage) if node != old]
    async with injected(stage, "process_kill", (old,), process="server"):
        start = now_ns()

        async def elected() -> str:
            leader = await consensus.leader_record()
            return "" if leader not in (None, old) else f"{leader} leads"

        await wait_for(elected, ELECTION_S_MAX, "a new leader")
        election_s = round(seconds_between(start, now_ns()), 3)
        await keys.put_key(others[0], "outlast-after-election", "1")
        writable_s = round(seconds_between(start, now_ns()), 3)
    await wait_until_ready(stage.cluster, WHOLE_TIMEOUT_S)
    words = f"another leads {election_s} s after {old} was killed, and takes a write after {writable_s} s"
    return [expect("election_s", election_s <= ELECTION_S_MAX, words, election_s, ELECTION_S_MAX)]


async def _refused_without_majority(stage: Stage) -> Sequence[Finding]:
    keys, nodes = _keys(stage), _nodes(stage)
    await keys.put_key(nodes[0], "outlast-majority", "before")
    rng = random.Random(stage.seed)
    gone = tuple(sorted(rng.sample(nodes, len(nodes) // 2 + 1)))
    accepted: list[str] = []
    tried = 0
    async with injected(stage, "host_power_off", gone):
        for node in nodes:
            if node in gone:
                continue
            for what in ("write", "read"):
                tried += 1
                try:
                    if what == "write":
                        await keys.put_key(node, "outlast-majority-lost", "accepted")
                    else:
                        await keys.get_key(node, "outlast-majority")
                except ClusterError as error:
                    stage.say(f"refused, as it must be: {error.message}")
                else:
                    accepted.append(f"a {what} by {node}")
    await wait_until_ready(stage.cluster, WHOLE_TIMEOUT_S)
    kept = await keys.get_key(nodes[0], "outlast-majority")
    words = f"with {', '.join(gone)} off: {tried - len(accepted)} of {tried} requests refused"
    return [
        expect("refused", not accepted, words + "".join(f"; {one}" for one in accepted), len(accepted), 0),
        expect("kept", kept == "before", f"what was written before reads {kept!r} after"),
    ]


async def _value_after_partition(stage: Stage) -> Sequence[Finding]:
    keys, nodes = _keys(stage), _nodes(stage)
    leader = await _consensus(stage).dcs_leader()
    alone = next(node for node in nodes if node != leader)
    together = next(node for node in nodes if node != alone)
    await keys.put_key(together, "outlast-partition", "old")
    stale: str | None = None
    async with injected(stage, "net_partition", (alone,), kind="isolate"):
        await keys.put_key(together, "outlast-partition", "new")
        try:
            stale = await keys.get_key(alone, "outlast-partition")
        except ClusterError as error:
            stage.say(f"{alone} gives no answer, as it must: {error.message}")
    await wait_until_ready(stage.cluster, WHOLE_TIMEOUT_S)
    seen = {node: await keys.get_key(node, "outlast-partition") for node in nodes}
    return [
        expect("no_stale_read", stale is None, f"{alone}, cut off, answered {stale!r}"),
        expect("equal", set(seen.values()) == {"new"}, f"once healed: {seen}"),
    ]


CHECKS: Final = tuple(
    SuiteCheck(name, title, run, ("has-keys", "has-consensus"))
    for name, title, run in (
        ("members-healthy", "Every member is healthy, and there are as many as there should be", _members_healthy),
        ("one-leader", "Every member names the same leader, in the same term", _one_leader),
        ("key-visible-on-all", "A key written at one member is read at each", _visible_on_all),
        ("fifty-writes-on-all", "Fifty writes, at every member in turn, are read at each", _many_writes),
        ("re-election", "Another member leads soon after the leader was killed, and takes writes", _re_election),
        ("refused-without-majority", "Without a majority no write or read is answered", _refused_without_majority),
        ("value-after-partition", "A member that was cut off shows nothing old, then what the others wrote",
         _value_after_partition),
    )
)  # fmt: skip


def _nodes(stage: Stage) -> list[str]:
    return [node.name for node in stage.cluster.spec.nodes]


def _keys(stage: Stage) -> HasKeys:
    assert isinstance(stage.cluster, HasKeys)
    return stage.cluster


def _consensus(stage: Stage) -> HasConsensus:
    assert isinstance(stage.cluster, HasConsensus)
    return stage.cluster
