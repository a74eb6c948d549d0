"""The processes behind the queues of hosts: one for each queue, started before packets come to it."""

from __future__ import annotations

import gc
import os
import signal
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NoReturn

from holdfast.hosts.netns import syscalls
from holdfast.net.base import Rule
from holdfast.net.queue import Queue, damage, hold_back
from holdfast.net.ruleset import damaged_queue, held_queue

_FILES_MAX: Final = 65536


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker does. process: of the host's init, a pidfd; it tells one life of a host from the next."""

    address: str
    process: int
    queue: int
    rule: Rule
    damages: bool


def jobs(rules: Iterable[Rule], address: str, process: int) -> list[Job]:
    """Return what the rules want done at one host."""
    found = []
    for rule in rules:
        if address not in rule.destinations or rule.sources == (address,):
            continue
        if rule.conditions.corrupt_percent:
            found.append(Job(address, process, damaged_queue(rule), rule, True))
        if rule.conditions.holds:
            found.append(Job(address, process, held_queue(rule), rule, False))
    return found


class Workers:
    """All workers of a lab."""

    def __init__(self) -> None:
        self._running: dict[Job, int] = {}  # a pidfd each

    def start(self, job: Job) -> None:
        """Start a worker, in the host's network namespace, in which the caller is. Raises OSError."""
        if job in self._running:
            return
        queue = Queue(job.queue, whole=job.damages, host=job.process)
        gc.freeze()  # keeps the collector from touching, and so copying, what is shared with the child
        pid = os.fork()
        if pid == 0:
            _become_worker(job, queue)
        self._running[job] = os.pidfd_open(pid)
        queue.netlink.close()

    def stop_all_but(self, wanted: Iterable[Job]) -> None:
        """Have workers that are not wanted let their packets go and end."""
        keep = set(wanted)
        for job in [job for job in self._running if job not in keep]:
            handle = self._running.pop(job)
            try:
                signal.pidfd_send_signal(handle, signal.SIGTERM)
            except ProcessLookupError:
                pass  # it ended with its host
            finally:
                os.close(handle)

    def dead(self) -> list[Job]:
        """Return the jobs whose worker has ended although it was not told to."""
        found = []
        for job, handle in self._running.items():
            try:
                signal.pidfd_send_signal(handle, 0)
            except ProcessLookupError:
                found.append(job)
        return found


def _become_worker(job: Job, queue: Queue) -> NoReturn:
    keep = sorted({queue.socket.fileno(), job.process})
    run_in_child(lambda: _work(job, queue), keep)


def _work(job: Job, queue: Queue) -> None:
    gc.disable()  # nothing below makes cycles, and a pause would delay packets
    syscalls.set_process_name(f"queue:{job.queue}")
    if job.damages:
        damage(queue, job.rule.id)
    else:
        hold_back(queue, job.rule.conditions, job.rule.id)


def run_in_child(work: Callable[[], None], keep: Iterable[int]) -> NoReturn:
    """In a forked child: close every descriptor but 0 to 2 and keep, work, and end."""
    try:
        low = 3
        for fd in sorted(keep):
            os.closerange(low, fd)
            low = fd + 1
        os.closerange(low, max(_FILES_MAX, low))
        work()
    except SystemExit:
        pass
    except BaseException:  # noqa: BLE001 - the child must end here, whatever happened
        traceback.print_exc()
    finally:
        os._exit(0)
    raise AssertionError("unreachable")
