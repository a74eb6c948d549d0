"""Waits of tests: for something to become so, never for time to pass."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import TypeVar

from outlast.pace import scaled

T = TypeVar("T")
POLL_S = 0.01
WAIT_S = 20.0
"""On a quiet machine: outlast.pace scales it."""


def until(look: Callable[[], T], what: str, timeout_s: float = WAIT_S) -> T:
    """Return what look() returns once it is true; the test fails when it never is, with what it returned last."""
    deadline = time.monotonic() + scaled(timeout_s)
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited {scaled(timeout_s):g} s for {what}; last seen: {seen!r}"
        time.sleep(POLL_S)
    return seen


async def until_async(look: Callable[[], object], what: str, timeout_s: float = WAIT_S) -> None:
    """Wait as until does, in an event loop that goes on meanwhile; look may be a coroutine function."""
    deadline = time.monotonic() + scaled(timeout_s)
    while True:
        seen = look()
        if inspect.isawaitable(seen):
            seen = await seen
        if seen:
            return
        assert time.monotonic() < deadline, f"waited {scaled(timeout_s):g} s for {what}; last seen: {seen!r}"
        await asyncio.sleep(POLL_S)


def for_s(span_s: float) -> Callable[[], bool]:
    """Return a predicate that is true once span_s have passed since now: for what is measured over a span."""
    end = time.monotonic() + span_s
    return lambda: time.monotonic() >= end


async def forever() -> None:
    """Never return: what is cancelled, or killed, in a test."""
    await asyncio.Event().wait()
