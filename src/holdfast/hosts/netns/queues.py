"""The queues of hosts: for each a table that hands packets over and a process that takes them.

Each has a table of its own, and none is removed while packets wait on its host: when a hook goes, the kernel
drops all that is queued in its namespace (nfqnl_nf_hook_drop). So a queue that is over is first silenced,
then its process lets its packets go, and the tables go with the last of the host's queues.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from holdfast.hosts.netns import syscalls
from holdfast.hosts.netns.attached import Attached, is_alive
from holdfast.hosts.netns.children import run_in_child
from holdfast.net.base import Rule
from holdfast.net.netlink import Message, Netlink
from holdfast.net.queue import Queue, damage, hold_back
from holdfast.net.ruleset import (
    damaged_queue,
    held_queue,
    queue_table,
    remove_queue_table,
    silence_queue_table,
)

_END_TIMEOUT_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Job:
    """What a queue's process does to packets that a rule is about, at one host, in one life of it."""

    host: Attached
    queue: int
    rule: Rule
    damages: bool


def jobs(rules: Iterable[Rule], host: Attached) -> list[Job]:
    """Return what the rules want done at one host."""
    found = []
    for rule in rules:
        if host.address not in rule.destinations or set(rule.sources) == {host.address}:
            continue
        if rule.conditions.corrupt_percent:
            found.append(Job(host, damaged_queue(rule), rule, True))
        if rule.conditions.holds:
            found.append(Job(host, held_queue(rule), rule, False))
    return found


class Queues:
    """All queues of a lab."""

    def __init__(self) -> None:
        self._processes: dict[Job, int] = {}  # a pidfd each
        self._silenced: dict[Attached, list[int]] = {}  # queues whose tables are still there
        self._used: list[Netlink] = []

    def start(self, wanted: Iterable[Job], *, native: bool) -> None:
        """Start those that do not run. native: see nft.queue. Raises OSError when the kernel says no."""
        for job in wanted:
            if job not in self._processes:
                with self._told(job.host) as netlink:
                    self._processes[job] = _start_process(job)
                    netlink.batch(queue_table(job.rule, job.host.address, job.damages, native=native))
        self._close_used()

    def stop_all_but(self, wanted: Iterable[Job]) -> None:
        """Have those that are not wanted let their packets go and end."""
        keep = set(wanted)
        over = {job: self._processes.pop(job) for job in list(self._processes) if job not in keep}
        if not over:
            return
        for host in dict.fromkeys(job.host for job in over):
            mine = [job.queue for job in over if job.host == host]
            if self._tell(host, [silence_queue_table(queue) for queue in mine]):
                self._silenced.setdefault(host, []).extend(mine)
        for process in over.values():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, signal.SIGTERM)
        for process in over.values():
            poll = select.poll()
            poll.register(process, select.POLLIN)
            poll.poll(_END_TIMEOUT_MS)
            os.close(process)
        busy = {job.host for job in self._processes}
        for host in [host for host in self._silenced if host not in busy]:
            self._tell(host, [remove_queue_table(queue) for queue in self._silenced.pop(host)])
        self._close_used()

    def dead(self) -> list[Job]:
        """Return the jobs whose process has ended although it was not told to and its host is on."""
        return [job for job, process in self._processes.items() if not is_alive(process) and job.host.is_on]

    def _tell(self, host: Attached, messages: list[Message]) -> bool:
        """Tell a host's packet filter something.

        False when the host is off, and with it all that was there.
        """
        try:
            with self._told(host) as netlink:
                netlink.batch(messages)
        except OSError as error:
            if error.errno == errno.ESRCH:
                return False
            raise
        return True

    @contextmanager
    def _told(self, host: Attached) -> Iterator[Netlink]:
        """Be in a host's namespace with a socket to its packet filter."""
        with host.network():
            netlink = Netlink()
            self._used.append(netlink)
            yield netlink

    def _close_used(self) -> None:
        """Close sockets in a child.

        Closing waits until the kernel has freed what was removed, ten ms or more.
        """
        if self._used and os.fork() == 0:
            run_in_child(lambda: None, [one.socket.fileno() for one in self._used])
        for one in self._used:
            one.close()
        self._used.clear()


def _start_process(job: Job) -> int:
    """Start a queue's process in the namespace in which we are; return its pidfd."""
    queue = Queue(job.queue, whole=job.damages, host=job.host.process)
    gc.freeze()  # keeps the collector from touching, and so copying, what is shared with the child
    pid = os.fork()
    if pid == 0:
        run_in_child(lambda: _work(job, queue), (queue.socket.fileno(), job.host.process))
    queue.netlink.close()  # the child has it
    return os.pidfd_open(pid)


def _work(job: Job, queue: Queue) -> None:
    gc.disable()  # nothing below makes cycles, and a pause would delay packets
    syscalls.set_process_name(f"queue:{job.queue}")
    if job.damages:
        damage(queue, job.rule.id)
    else:
        hold_back(queue, job.rule.conditions, job.rule.id)
