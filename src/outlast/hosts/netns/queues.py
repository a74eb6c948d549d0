"""The queues of hosts: for each a table that hands packets over, and for those of one fault a process that
takes them.

Each queue has a table of its own, and none is removed while packets wait on its host: when a hook goes, the
kernel drops all that is queued in its namespace (nfqnl_nf_hook_drop). So a queue that is over is first
silenced, then its process lets its packets go, and the tables go with the last of the host's queues.
"""

from __future__ import annotations

import array
import errno
import gc
import os
import random
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from outlast.hosts.netns import syscalls
from outlast.hosts.netns.children import run_in_child
from outlast.hosts.netns.wired_host import WiredHost, is_alive
from outlast.net.base import Rule
from outlast.net.netlink import Netlink, NetlinkMessage
from outlast.net.queue import Damage, Handler, Queue, holding, serve
from outlast.net.ruleset import (
    damaged_queue,
    held_queue,
    queue_table,
    remove_queue_table,
    silence_queue_table,
)
from outlast.pace import scaled

_PROCESS: Final = "lab-queues"
_ANSWER_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class QueueJob:
    """What a queue's process does to packets that a rule is about, at one host, in one life of it."""

    host: WiredHost
    queue: int
    rule: Rule
    damages: bool


def jobs(rules: Iterable[Rule], host: WiredHost) -> list[QueueJob]:
    """Return what the rules want done at one host."""
    found = []
    for rule in rules:
        if host.address not in rule.destinations or set(rule.sources) == {host.address}:
            continue
        if rule.conditions.corrupt_percent:
            found.append(QueueJob(host, damaged_queue(rule), rule, True))
        if rule.conditions.holds:
            found.append(QueueJob(host, held_queue(rule), rule, False))
    return found


@dataclass(frozen=True, slots=True)
class _Process:
    """What serves the queues that were started together. handle: a pidfd; places: the jobs' numbers in it."""

    handle: int
    control: socket.socket
    places: Mapping[QueueJob, int]

    def tell_over(self, over: Iterable[QueueJob]) -> None:
        """Have it let the packets of some jobs go."""
        with suppress(OSError):
            self.control.send(array.array("I", [self.places[job] for job in over]).tobytes())

    def wait_until_done(self) -> None:
        """Wait until it has done what it was told, or is gone."""
        with suppress(OSError):
            self.control.recv(16)

    def close(self) -> None:
        """Forget it; what it still serves is over."""
        self.control.close()
        os.close(self.handle)


class Queues:
    """All queues of a lab."""

    def __init__(self) -> None:
        self._serving: dict[QueueJob, _Process] = {}
        self._silenced: dict[WiredHost, list[int]] = {}  # queues whose tables are still there
        self._used: list[Netlink] = []

    def start(self, wanted: Iterable[QueueJob], *, native: bool) -> None:
        """Start those that are not served; those of hosts that are off are left out.

        native: see nft.queue. Raises OSError when the kernel says no.
        """
        opened: dict[QueueJob, tuple[Queue, Netlink]] = {}
        for job in wanted:
            if job in self._serving:
                continue
            try:
                with self._told(job.host) as netlink:
                    queue = Queue(job.queue, whole=job.damages, host=job.host.process)
                    opened[job] = queue, netlink
            except OSError as error:
                if error.errno != errno.ESRCH:
                    raise
        if not opened:
            return
        process = _start_process({job: queue for job, (queue, _netlink) in opened.items()})
        for job, (_queue, netlink) in opened.items():
            self._serving[job] = process
            netlink.batch(queue_table(job.rule, job.host.address, job.damages, native=native))
        self._close_used()

    def stop_all_but(self, wanted: Iterable[QueueJob]) -> None:
        """Have those that are not wanted let their packets go and end."""
        keep = set(wanted)
        over = {job: self._serving.pop(job) for job in list(self._serving) if job not in keep}
        if not over:
            return
        for host in dict.fromkeys(job.host for job in over):
            mine = [job.queue for job in over if job.host == host]
            if self._tell(host, [silence_queue_table(queue) for queue in mine]):
                self._silenced.setdefault(host, []).extend(mine)
        processes = {id(process): process for process in over.values()}.values()
        for process in processes:
            process.tell_over(job for job, by in over.items() if by is process)
        for process in processes:
            process.wait_until_done()
            if not any(by is process for by in self._serving.values()):
                process.close()
        busy = {job.host for job in self._serving}
        for host in [host for host in self._silenced if host not in busy]:
            self._tell(host, [remove_queue_table(queue) for queue in self._silenced.pop(host)])
        self._close_used()

    def dead(self) -> list[QueueJob]:
        """Return the jobs that are not served although they are not over and their host is on."""
        return [job for job, by in self._serving.items() if not is_alive(by.handle) and job.host.is_on]

    def _tell(self, host: WiredHost, batch: list[NetlinkMessage]) -> bool:
        """Tell a host's packet filter something.

        False when the host is off, and with it all that was there.
        """
        try:
            with self._told(host) as netlink:
                netlink.batch(batch)
        except OSError as error:
            if error.errno == errno.ESRCH:
                return False
            raise
        return True

    @contextmanager
    def _told(self, host: WiredHost) -> Iterator[Netlink]:
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
            run_in_child(lambda: None, [netlink.socket.fileno() for netlink in self._used])
        for netlink in self._used:
            netlink.close()
        self._used.clear()


def _start_process(queues: Mapping[QueueJob, Queue]) -> _Process:
    """Start a process that serves queues."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here.settimeout(scaled(_ANSWER_TIMEOUT_S))
    gc.freeze()  # keeps the collector from touching, and so copying, what is shared with the child
    pid = os.fork()
    if pid == 0:
        keep = {there.fileno(), *(queue.socket.fileno() for queue in queues.values())}
        run_in_child(lambda: _work(queues, there), keep | {job.host.process for job in queues})
    there.close()
    for queue in queues.values():
        queue.netlink.close()  # the child has it
    return _Process(os.pidfd_open(pid), here, {job: place for place, job in enumerate(queues)})


def _work(queues: Mapping[QueueJob, Queue], control: socket.socket) -> None:
    gc.disable()  # nothing below makes cycles, and a pause would delay packets
    syscalls.set_process_name(_PROCESS)
    serve({place: _handler(job, queue) for place, (job, queue) in enumerate(queues.items())}, control)


def _handler(job: QueueJob, queue: Queue) -> Handler:
    rng = random.Random(job.queue)
    return Damage(queue, rng) if job.damages else holding(queue, job.rule.conditions, rng)
