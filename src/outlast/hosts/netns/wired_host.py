"""A host as the wires process knows it: how to tell whether it is on, and how to get into its network namespace."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from outlast.hosts.netns import syscalls


@dataclass(frozen=True, slots=True)
class WiredHost:
    """A host that has been wired.

    life: how many hosts have been wired by then, which tells one life of a host from its next. process: its
    init as a pidfd, which holds no namespace alive. port: its device on the bridge; cable: the index of the
    other end, its eth0.
    """

    life: int
    name: str
    address: str
    process: int
    port: str
    cable: int

    @property
    def is_on(self) -> bool:
        """Whether its init lives."""
        return is_alive(self.process)

    @contextmanager
    def network(self) -> Iterator[None]:
        """Be in its network namespace for a while. Raises OSError (ESRCH) when it is off."""
        now = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            try:
                syscalls.setns(self.process, syscalls.CLONE_NEWNET)
            except ProcessLookupError as error:
                raise OSError(error.errno, f"{self.name} is off") from error
            try:
                yield
            finally:
                syscalls.setns(now, syscalls.CLONE_NEWNET)
        finally:
            os.close(now)


def is_alive(process: int) -> bool:
    """Whether the process behind a pidfd lives."""
    try:
        signal.pidfd_send_signal(process, 0)
    except ProcessLookupError:
        return False
    return True
