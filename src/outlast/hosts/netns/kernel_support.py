"""Which of the kernel's parts are available here. Each is tried once, in the lab's own namespace, and undone."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Final

from outlast.hosts.netns import messages
from outlast.net import nft, sockets
from outlast.net.base import Conditions
from outlast.net.netlink import Netlink, NetlinkMessage
from outlast.net.queue import Queue
from outlast.net.rtnetlink import LOOPBACK, RtNetlink

_TABLE: Final = "outlast-trial"
_CHAIN: Final = "trial"
_TRIAL_QUEUE: Final = 0xFFFF
_TRIAL_HANDLE: Final = 0x10000

DROP, LOSS, QUEUE, DUPLICATE, RATE, RESET = "drop", "loss", "queue", "duplicate", "rate", "reset"


class KernelSupport:
    """Tries lazily and remembers."""

    def __init__(self, route: RtNetlink) -> None:
        self._route = route

    def to_document(self) -> messages.Message:
        """Return for each mechanism why it is not available, None when it is."""
        return dict(self._missing)

    @property
    def native_queue(self) -> bool:
        """Whether nftables has its own expression for queues; else iptables' target serves."""
        return self._native_queue is None

    def words(self, conditions: Conditions) -> list[str]:
        """Say by what conditions are made."""
        found = []
        if conditions.cuts:
            found.append("nftables drop at the bridge")
        elif conditions.loss_percent:
            found.append("nftables numgen and drop at the bridge")
        if conditions.duplicate_percent:
            found.append("nftables dup at the bridge's ports")
        if conditions.rate_kbit:
            found.append("htb classes on the bridge's ports")
        if conditions.holds or conditions.corrupt_percent:
            how = "nftables queue" if self.native_queue else "NFQUEUE target"
            found.append(f"{how} before routing in the receiving host")
        return found

    @cached_property
    def _missing(self) -> dict[str, str | None]:
        bridge = (nft.FAMILY_BRIDGE, nft.HOOK_FORWARD)
        return {
            DROP: _reason("nftables on bridges", lambda: _try(*bridge, [*nft.is_ipv4(), *nft.drop()])),
            LOSS: _reason("nftables numgen", lambda: _try(*bridge, [*nft.by_chance(1), *nft.drop()])),
            DUPLICATE: _reason(
                "nftables dup on egress",
                lambda: _try(nft.FAMILY_NETDEV, nft.HOOK_EGRESS, nft.duplicate(LOOPBACK), "lo"),
            ),
            QUEUE: self._queue_missing(),
            RATE: _reason("the htb qdisc", self._try_htb),
            RESET: _reason("way to break connections", _try_destroy),
        }

    @cached_property
    def _native_queue(self) -> str | None:
        return _reason("nftables queue", lambda: _try_queue(native=True))

    def _queue_missing(self) -> str | None:
        def bind() -> None:
            Queue(_TRIAL_QUEUE, whole=True).netlink.close()

        missing = _reason("NFQUEUE", bind)
        if missing or self.native_queue:
            return missing
        return _reason("nftables queue and the NFQUEUE target", lambda: _try_queue(native=False))

    def _try_htb(self) -> None:
        self._route.add_htb(LOOPBACK, _TRIAL_HANDLE)
        self._route.remove_queue(LOOPBACK, _TRIAL_HANDLE)


def _try_queue(*, native: bool) -> None:
    _try(nft.FAMILY_IPV4, nft.HOOK_PREROUTING, nft.queue(_TRIAL_QUEUE, native=native))


def _try_destroy() -> None:
    """Make a connection to ourselves and break it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as trial,
    ):
        mine = [
            connection for connection in sockets.established() if connection.port == trial.getsockname()[1]
        ]
        if not mine or not sockets.destroy(mine[0]):
            raise OSError(errno.EOPNOTSUPP, "its own connection was not found")


def _try(family: int, hook: int, expressions: Sequence[nft.Expression], device: str | None = None) -> None:
    """Make a table with one rule and take it away again. Raises OSError."""
    batch: list[NetlinkMessage] = [
        nft.new_table(family, _TABLE),
        nft.new_chain(family, _TABLE, _CHAIN, hook, 0, device),
        nft.new_rule(family, _TABLE, _CHAIN, expressions),
        nft.delete_table(family, _TABLE),
    ]
    with Netlink() as netlink:
        netlink.batch(batch)


def _reason(what: str, attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except OSError as error:
        return f"this kernel or user has no {what}: {error.strerror or error}"
    return None
