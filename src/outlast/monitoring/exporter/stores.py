"""Consensus stores as the exporter sees them: a function a system, asked once a round."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from outlast.monitoring.exporter import etcd
from outlast.monitoring.exporter.config import ExporterTarget
from outlast.monitoring.exporter.state import MemberSample, StoreSample
from outlast.systems import http

LOOK_TIMEOUT_S: Final = 1.0

Look = Callable[[Sequence[ExporterTarget]], Awaitable[StoreSample]]


async def look_at_raftlog(members: Sequence[ExporterTarget]) -> StoreSample:
    """Return what every member of a raftlog says of itself, and whether one of them answers a linearizable read."""
    answers, reads = await asyncio.gather(
        asyncio.gather(*(_status(member) for member in members)),
        asyncio.gather(*(_can_read(member) for member in members)),
    )
    return StoreSample({member.name: one for member, one in zip(members, answers, strict=True)}, any(reads))


async def _status(member: ExporterTarget) -> MemberSample:
    try:
        answer = await http.request(
            None, (member.address, member.port), "GET", "/status", timeout_s=LOOK_TIMEOUT_S
        )
    except OSError:
        return MemberSample(is_up=False)
    if answer.status != 200 or not isinstance(body := answer.body, dict):
        return MemberSample(is_up=False)
    return MemberSample(
        True,
        is_leader=body.get("role") == "leader",
        has_leader=bool(body.get("leader")),
        term=int(body.get("term", 0)),
        index=int(body.get("last_index", 0)),
    )


async def _can_read(member: ExporterTarget) -> bool:
    try:
        answer = await http.request(
            None, (member.address, member.port), "GET", "/kv/outlast", timeout_s=LOOK_TIMEOUT_S
        )
    except OSError:
        return False
    return answer.status in (200, 404)


STORES: Final[Mapping[str, Look]] = {
    "patroni": etcd.look,
    "etcd": etcd.look,
    "raftlog": look_at_raftlog,
}
"""By system."""
