"""etcd as the exporter sees it, over its JSON gateway."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Final

from outlast.monitoring.exporter.config import ExporterTarget
from outlast.monitoring.exporter.state import MemberSample, StoreSample
from outlast.systems import http

LOOK_TIMEOUT_S: Final = 1.0
_NOBODY: Final = MemberSample(is_up=False)


async def look(members: Sequence[ExporterTarget]) -> StoreSample:
    """Return what every member says, and whether a read that needs a majority is answered; all asked at once."""
    answers, read = await asyncio.gather(
        asyncio.gather(*(_status(member) for member in members)),
        get_prefix(members, "outlast/quorum", LOOK_TIMEOUT_S),
    )
    found = {member.name: one for member, one in zip(members, answers, strict=True)}
    return StoreSample(found, read is not None)


async def get_prefix(
    members: Sequence[ExporterTarget], prefix: str, timeout_s: float
) -> Mapping[str, str] | None:
    """Return all keys below prefix (without it) and their values, read linearizably from whichever member answers
    first; None when none does."""
    start = prefix.encode()
    wanted = {
        "key": base64.b64encode(start).decode(),
        "range_end": base64.b64encode(start[:-1] + bytes([start[-1] + 1])).decode(),
    }

    async def ask(member: ExporterTarget) -> Mapping[str, str]:
        answer = await http.request(
            None, (member.address, member.port), "POST", "/v3/kv/range", timeout_s=timeout_s, body=wanted
        )
        if answer.status != 200 or not isinstance(body := answer.body, dict):
            raise ConnectionError(f"{member.name} says {answer.status}")
        return {
            base64.b64decode(pair["key"]).decode().removeprefix(prefix): base64.b64decode(
                pair["value"]
            ).decode()
            for pair in body.get("kvs", [])
        }

    # One after another would add up the time-outs of those that hang; all at once asks more than is needed.
    if members:
        try:
            return await ask(members[0])
        except (OSError, ValueError):
            pass
    for done in asyncio.as_completed([asyncio.ensure_future(ask(member)) for member in members[1:]]):
        try:
            return await done
        except (OSError, ValueError):
            continue
    return None


async def _status(member: ExporterTarget) -> MemberSample:
    try:
        answer = await http.request(
            None,
            (member.address, member.port),
            "POST",
            "/v3/maintenance/status",
            timeout_s=LOOK_TIMEOUT_S,
            body={},
        )
    except OSError:
        return _NOBODY
    if answer.status != 200 or not isinstance(body := answer.body, dict):
        return _NOBODY
    own, leader = str(body.get("header", {}).get("member_id", "")), str(body.get("leader", "0"))
    return MemberSample(
        True,
        is_leader=own == leader,
        has_leader=leader != "0",
        term=int(body.get("raftTerm", 0)),
        index=int(body.get("raftIndex", 0)),
    )
