"""A host of a namespace lab, seen from the tool."""

from __future__ import annotations

import contextlib
from pathlib import Path

from outlast.errors import HostError
from outlast.hosts.netns import memory
from outlast.hosts.netns.clocks import NetnsClock
from outlast.hosts.netns.disks import NetnsDisk
from outlast.hosts.netns.init import SOCKET_NAME as INIT_SOCKET
from outlast.hosts.netns.memory import NetnsMemory
from outlast.hosts.netns.programs import Programs
from outlast.hosts.netns.request_client import ask
from outlast.hosts.netns.wires import SOCKET_NAME as WIRES_SOCKET


class NetnsHost(Programs):
    """One host: its init's socket, its cable, its folder."""

    def __init__(self, lab_folder: Path, name: str, address: str, prefix: int, *, is_on: bool) -> None:
        super().__init__(lab_folder / "hosts" / name, name)
        self.address = address
        self._lab_folder = lab_folder
        self._prefix = prefix
        self._is_on = is_on

    @property
    def disk(self) -> NetnsDisk | None:
        """The disk that holds its files, None when that is the machine's."""
        disk = NetnsDisk(self._lab_folder, self.name)
        return disk if disk.exists else None

    @property
    def memory(self) -> NetnsMemory | None:
        """What gives some of its programs a limit of memory, None where nothing can."""
        return NetnsMemory(self._lab_folder, self) if memory.unavailable() is None else None

    @property
    def clock(self) -> NetnsClock | None:
        """The wall clock that its programs follow, None when that is the machine's."""
        clock = NetnsClock(self.folder)
        return clock if clock.exists else None

    @property
    def is_on(self) -> bool:
        """Whether power_on was the last of the two to succeed."""
        return self._is_on

    async def power_on(self) -> None:
        """Make the host's namespaces and init, and plug in its cable."""
        reply = await ask(
            self._lab_folder / INIT_SOCKET, {"op": "host_on", "name": self.name, "folder": str(self.folder)}
        )
        await ask(
            self._lab_folder / WIRES_SOCKET,
            {
                "op": "attach",
                "host": self.name,
                "pid": reply["pid"],
                "address": f"{self.address}/{self._prefix}",
            },
        )
        self._is_on = True

    async def power_off(self) -> None:
        """Cut the cable first, so that no peer hears the kernel close the host's connections; then kill."""
        await self.plug(False)
        with contextlib.nullcontext() if self.disk is None else self.disk.at_full_speed():
            await ask(self._lab_folder / INIT_SOCKET, {"op": "host_off", "name": self.name})
        self._is_on = False

    async def plug(self, plugged: bool) -> None:
        """Plug the cable in, or pull it, at the bridge's side: the host itself sees its link go."""
        reply = await ask(self._lab_folder / WIRES_SOCKET, {"op": "link", "host": self.name, "up": plugged})
        if plugged and not reply["found"]:
            raise HostError(f"{self.name} has no cable: it is off, or was being switched on")
