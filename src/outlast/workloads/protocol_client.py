"""Clients that are no libpq: what one is, and which there are.

A workload that names a ``route`` instead of sending SQL is driven by ``protocol_worker.py``, whose clients speak the
protocol of that route's kind. A new protocol is one file with a ``ProtocolClient`` (and a reader, where the load is
read back at the end) and a line in ``protocol_registry.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from outlast.history.op import I64, Outcome
from outlast.workloads.base import Invocation

LIBPQ = "libpq"


class Reply(NamedTuple):
    """How an op ended. outcome: see ``outcome.py`` for the rule: FAIL only where it certainly did not happen.

    told: what a read saw: an integer is the op's value, text its payload as JSON, None leaves it as it is. node: who
    answered, "" unknown. lsn: where it stands, 0 unknown. keep: whether the connection is good for another op.
    """

    outcome: Outcome
    told: int | str | None = None
    node: str = ""
    lsn: int = 0
    error: str = ""
    keep: bool = True


class ProtocolClient(Protocol):
    """One client: one op at a time."""

    async def connect(self) -> None:
        """Find who serves, and connect. Raises OSError saying what was tried; the caller bounds its time."""
        ...

    async def call(self, call: Invocation) -> Reply:
        """Send one op and return how it ended. An OSError leaves it unknown, as does the caller's time-out."""
        ...

    def close(self) -> None:
        """Drop the connections; connect may follow."""
        ...


@runtime_checkable
class Routed(Protocol):
    """A workload that is sent over a route of its own."""

    @property
    def route(self) -> str:
        """The name of the route among the cluster's (``log-primary``)."""
        ...


Contents = Mapping[str, I64]
"""What a load left behind, by name: under the workload's own all its values, sorted; see the workload for others."""


def addresses_of(dsn: str) -> list[tuple[str, int]]:
    """Return the (host, port) pairs of ``host:port,host:port``; an IPv6 host stands in brackets.

    Raises ValueError naming the part that is none.
    """
    found = []
    for part in dsn.split(","):
        host, colon, port = part.strip().rpartition(":")
        if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{part.strip()!r} is not HOST:PORT")
        found.append((host.strip("[]"), int(port)))
    return found
