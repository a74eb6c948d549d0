"""Bandwidth between hosts.

Classes of a qdisc (tc-htb(8)) on the bridge's ports, made and removed as rules want.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from holdfast.net.ruleset import HTB_MAJOR, RateClass

_ROOT: Final = HTB_MAJOR << 16
_QUEUE_MS: Final = 200  # what a full queue delays a packet by
_PACKET_BITS: Final = 1514 * 8
_QUEUE_PACKETS_MIN: Final = 10


class Bandwidth:
    """Classes by the index of the device that they are on. ip: pyroute2's IPRoute."""

    def __init__(self, ip: Any) -> None:
        self._ip = ip
        self._classes: dict[int, dict[int, RateClass]] = {}

    def make(self, classes: Sequence[RateClass], ports: Mapping[str, int]) -> None:
        """Have these classes and no others. ports: the device of each host that is on, by address."""
        wanted: dict[int, dict[int, RateClass]] = {}
        for one in classes:
            if one.destination in ports:
                wanted.setdefault(ports[one.destination], {})[one.minor] = one
        living = set(ports.values())
        for device in [device for device in self._classes if device not in wanted]:
            del self._classes[device]
            if device in living:
                self._ip.tc("del", index=device, parent=0xFFFFFFFF, handle=_ROOT)
        for device, mine in wanted.items():
            there = self._classes.get(device)
            if there is None:
                # Packets without a mark match no class and pass at once.
                self._ip.tc("add", "htb", device, _ROOT, default=0)
                there = self._classes[device] = {}
            for minor in [minor for minor in there if minor not in mine]:
                self._ip.tc("del-class", index=device, handle=_ROOT | minor, parent=_ROOT)
                del there[minor]
            for minor, one in mine.items():
                if minor not in there:
                    self._add(device, one)
                    there[minor] = one

    def _add(self, device: int, one: RateClass) -> None:
        handle = _ROOT | one.minor
        rate = one.rate_kbit * 1000 // 8
        self._ip.tc(
            "add-class", "htb", device, handle, parent=_ROOT, rate=rate, ceil=rate, quantum=60_000, mtu=1514
        )
        limit = max(_QUEUE_PACKETS_MIN, one.rate_kbit * _QUEUE_MS // _PACKET_BITS)
        self._ip.tc("add", "pfifo", device, 0, parent=handle, limit=limit)
