"""Async work for a synchronous caller: its results, its errors, and Ctrl-C in the middle of it."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from waiting import for_s, forever, until_async

from outlast.api.loop_thread import LoopThread
from outlast.errors import ClusterError, HarnessError
from outlast.pace import scaled


@pytest.fixture
def runner() -> Iterator[LoopThread]:
    made = LoopThread()
    yield made
    made.close()


def interrupt_when(ready: threading.Event) -> None:
    """Send Ctrl-C to this process once ready."""

    def wait() -> None:
        assert ready.wait(scaled(10))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()


def test_it_returns_what_work_returns_and_raises_what_it_raises(runner: LoopThread) -> None:
    async def works() -> int:
        await asyncio.to_thread(int)
        return 7

    async def fails() -> None:
        raise ClusterError("no primary")

    assert runner.run(works()) == 7
    with pytest.raises(ClusterError, match="no primary"):
        runner.run(fails())


def test_ctrl_c_cancels_the_work_and_comes_back_once_that_has_cleaned_up(runner: LoopThread) -> None:
    ready, cleaned = threading.Event(), threading.Event()

    async def long() -> None:
        try:
            ready.set()
            await forever()
        finally:
            await until_async(for_s(0.2), "a slow clean-up")
            cleaned.set()

    interrupt_when(ready)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        runner.run(long())
    assert cleaned.is_set()
    assert time.monotonic() - start < 30


def test_work_that_must_end_is_let_end_by_ctrl_c(runner: LoopThread) -> None:
    ready, ended = threading.Event(), threading.Event()

    async def takes_down() -> None:
        ready.set()
        await until_async(for_s(0.3), "work that goes on")
        ended.set()

    interrupt_when(ready)
    with pytest.raises(KeyboardInterrupt):
        runner.run(takes_down(), finish=True)
    assert ended.is_set()


def test_it_can_be_used_by_a_caller_that_has_a_loop_of_its_own(runner: LoopThread) -> None:
    async def inner() -> str:
        return "inside"

    async def outer() -> str:
        return await asyncio.to_thread(lambda: runner.run(inner()))

    assert asyncio.run(outer()) == "inside"


def test_waiting_for_itself_is_refused_instead_of_hanging(runner: LoopThread) -> None:
    async def inner() -> None:
        return None

    async def outer() -> None:
        call: Callable[[], None] = lambda: runner.run(inner())  # noqa: E731
        call()

    with pytest.raises(HarnessError, match="wait for itself"):
        runner.run(outer())


def test_closing_cancels_what_still_runs() -> None:
    made = LoopThread()
    cancelled = threading.Event()

    async def hangs() -> None:
        try:
            await forever()
        finally:
            cancelled.set()

    made.start(hangs())
    made.close()
    assert cancelled.wait(scaled(5))
