"""Bandwidth between hosts.

Classes of a qdisc (tc-htb(8)) on the bridge's ports, made and removed as rules want.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from outlast.net.rtnetlink import RtNetlink
from outlast.net.ruleset import HTB_MAJOR, RateClass

_ROOT: Final = HTB_MAJOR << 16
_QUEUE_MS: Final = 200  # what a full queue delays a packet by
_PACKET_BYTES: Final = 1514
_PACKET_BITS: Final = _PACKET_BYTES * 8
_QUANTUM_BYTES: Final = 60_000
_QUEUE_PACKETS_MIN: Final = 10


class Bandwidth:
    """Classes by the index of the device that they are on."""

    def __init__(self, route: RtNetlink) -> None:
        self._route = route
        self._classes: dict[int, dict[int, RateClass]] = {}

    def make(self, classes: Sequence[RateClass], ports: Mapping[str, int]) -> None:
        """Have these classes and no others. ports: the device of each host that is on, by address."""
        wanted: dict[int, dict[int, RateClass]] = {}
        for share in classes:
            if share.destination in ports:
                wanted.setdefault(ports[share.destination], {})[share.minor] = share
        living = set(ports.values())
        for device in [device for device in self._classes if device not in wanted]:
            del self._classes[device]
            if device in living:
                self._route.remove_queue(device, _ROOT)
        for device, mine in wanted.items():
            there = self._classes.get(device)
            if there is None:
                # Packets without a mark match no class and pass at once.
                self._route.add_htb(device, _ROOT)
                there = self._classes[device] = {}
            for minor in [minor for minor in there if minor not in mine]:
                self._route.remove_htb_class(device, _ROOT | minor, _ROOT)
                del there[minor]
            for minor, share in mine.items():
                if minor not in there:
                    self._add(device, share)
                    there[minor] = share

    def _add(self, device: int, share: RateClass) -> None:
        handle = _ROOT | share.minor
        rate = share.rate_kbit * 1000 // 8
        self._route.add_htb_class(
            device, handle, _ROOT, rate=rate, quantum=_QUANTUM_BYTES, burst=_PACKET_BYTES
        )
        limit = max(_QUEUE_PACKETS_MIN, share.rate_kbit * _QUEUE_MS // _PACKET_BITS)
        self._route.add_pfifo(device, handle, limit)
