"""Which nodes a person has taken out to work on, for systems whose manager has no word for it.

A mark in the host's folder, so that every process of the tool knows of it, and a host that loses its power keeps it.
"""

from __future__ import annotations

from typing import Final

from outlast.hosts.base import Host

MARK: Final = "maintenance"
STATE: Final = "maintenance"
"""The state of such a node in a view."""


def is_out(host: Host) -> bool:
    """Return whether a node is in maintenance."""
    return (host.folder / MARK).exists()


async def take_out(host: Host) -> None:
    """Mark a node; its processes are the caller's to stop, after."""
    await host.put(MARK, b"")


def put_back(host: Host) -> None:
    """Take the mark away; its processes are the caller's to start, after."""
    (host.folder / MARK).unlink(missing_ok=True)
