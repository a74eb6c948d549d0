"""The systems there are, by name. A new one is one line here and a package in ``systems``."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from holdfast.errors import UnavailableError
from holdfast.systems.kind import System

_SYSTEMS: Final = {
    "patroni": "PatroniSystem",
    "pg_auto_failover": "PgAutoFailoverSystem",
    "streaming": "StreamingSystem",
    "pgpool": "PgpoolSystem",
    "etcd": "EtcdSystem",
    "raftlog": "RaftlogSystem",
}
"""The class of each, in the module ``system`` of its package: loaded when it is asked for, so that ``status`` waits for
one system's modules and not for all."""

_MADE: Final[dict[str, System[Any]]] = {}


def system_names() -> tuple[str, ...]:
    """Return the names of all systems."""
    return tuple(_SYSTEMS)


def system(name: str) -> System[Any]:
    """Return a system by name. Raises UnavailableError naming those there are."""
    if name not in _SYSTEMS:
        raise UnavailableError(
            f"the system {name} cannot be run by this version", hint=f"there is: {', '.join(_SYSTEMS)}"
        )
    if name not in _MADE:
        module = import_module(f"holdfast.systems.{name}.system")
        _MADE[name] = getattr(module, _SYSTEMS[name])()
    return _MADE[name]
