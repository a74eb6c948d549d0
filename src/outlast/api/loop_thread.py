"""Runs async work for a caller that is not: one event loop, in a thread of its own, for as long as a cluster is up.

An event loop of its own because streams, processes and locks of a cluster belong to the loop that made them, and in a
thread because the caller's thread may run a loop already (a notebook, an async test).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from outlast.errors import HarnessError

T = TypeVar("T")

CLEAN_UP_TIMEOUT_S: Final = 60.0


class LoopThread:
    """An event loop in a daemon thread. Close it when nothing runs any more."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="outlast", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], *, finish: bool = False) -> T:
        """Run work to its end and return what it returns, or raise what it raises.

        Ctrl-C, or whatever else interrupts the wait (a test's time-out), cancels the work and is raised again once that
        has cleaned up, for CLEAN_UP_TIMEOUT_S at most; with finish the work is let end instead of cancelled.
        """
        outcome: Future[T] = Future()
        tasks: list[asyncio.Task[T]] = []

        def settle(task: asyncio.Task[T]) -> None:
            if task.cancelled():
                outcome.set_exception(HarnessError("the work was cancelled"))
            elif (error := task.exception()) is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(task.result())

        def begin() -> None:
            tasks.append(self._loop.create_task(work))
            tasks[0].add_done_callback(settle)

        if threading.current_thread() is self._thread:
            work.close()
            raise HarnessError("a cluster was asked to wait for itself, from a callback in its own thread")

        def interrupted() -> None:
            if not tasks and finish:
                begin()
            elif not tasks:
                work.close()
                outcome.set_exception(HarnessError("the work was cancelled"))
            elif not finish:
                tasks[0].cancel()

        try:
            self._loop.call_soon_threadsafe(begin)
            return outcome.result()
        except BaseException:
            if not outcome.done():  # it is the wait that was interrupted, not the work that failed
                self._loop.call_soon_threadsafe(interrupted)
                _wait_for(outcome)
            raise

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start work that goes on beside the caller; cancelling what is returned cancels it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Cancel what still runs, end the thread and the loop."""
        with contextlib.suppress(HarnessError):
            self.run(_cancel_others(), finish=True)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLEAN_UP_TIMEOUT_S)
        if not self._thread.is_alive():
            self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    loop = asyncio.get_running_loop()
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


def _wait_for(outcome: Future[Any]) -> None:
    """Wait for an outcome, whatever it is; a second Ctrl-C does not cut the cleaning up short."""
    ended = threading.Event()
    outcome.add_done_callback(lambda _: ended.set())
    with contextlib.suppress(KeyboardInterrupt):
        ended.wait(CLEAN_UP_TIMEOUT_S)
        return
    ended.wait(CLEAN_UP_TIMEOUT_S)
