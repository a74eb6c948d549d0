"""The systems there are, by name. A new one is one line here and a package in ``systems``."""

from __future__ import annotations

from typing import Any

from holdfast.errors import UnavailableError
from holdfast.systems.etcd.system import EtcdSystem
from holdfast.systems.kind import System
from holdfast.systems.patroni.system import PatroniSystem
from holdfast.systems.pg_auto_failover.system import PgAutoFailoverSystem
from holdfast.systems.pgpool.system import PgpoolSystem
from holdfast.systems.raftlog.system import RaftlogSystem
from holdfast.systems.streaming.system import StreamingSystem

_SYSTEMS: dict[str, System[Any]] = {
    system.name: system
    for system in (
        PatroniSystem(),
        PgAutoFailoverSystem(),
        StreamingSystem(),
        PgpoolSystem(),
        EtcdSystem(),
        RaftlogSystem(),
    )
}


def system_names() -> tuple[str, ...]:
    """Return the names of all systems."""
    return tuple(_SYSTEMS)


def system(name: str) -> System[Any]:
    """Return a system by name. Raises UnavailableError naming those there are."""
    if name not in _SYSTEMS:
        raise UnavailableError(
            f"the system {name} cannot be run by this version", hint=f"there is: {', '.join(_SYSTEMS)}"
        )
    return _SYSTEMS[name]
