"""The users of a small application: each sends one request after another and remembers what it saw.

Every answer is a line, ``ok NUMBER SECONDS`` or ``error WHAT SECONDS``: that is what Outlast records of a program of
yours (``outlast load command``). At the end, which is a SIGTERM, a line ``summary {…}`` says what all users saw.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, NoReturn

USERS: Final = 8
PAUSE_S: Final = 0.1
STUCK_S: Final = 5.0


@dataclass
class Tally:
    """What the users saw so far. waiting: since when each user waits for an answer."""

    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    waiting: dict[int, float] = field(default_factory=dict)
    ok: int = 0
    errors: list[float] = field(default_factory=list)
    longest_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def asks(self, user: int) -> int:
        """A user sends a request; returns its number."""
        with self.lock:
            self.waiting[user] = time.monotonic()
            return next(self.numbers)

    def answered(self, user: int, number: int, error: Exception | None) -> None:
        """A user has an answer, good or bad."""
        with self.lock:
            now = time.monotonic()
            took_s = now - self.waiting.pop(user)
            self.longest_s = max(self.longest_s, took_s)
            if error is None:
                self.ok += 1
                print(f"ok {number} {took_s:.3f}", flush=True)
            else:
                self.errors.append(now)
                print(
                    f"error {type(error).__name__} {took_s:.3f}: {' '.join(str(error).split())}", flush=True
                )

    def end(self) -> NoReturn:
        """Say what came of it, and end at once: a user who is stuck would keep us for ever."""
        with self.lock:
            now = time.monotonic()
            stuck = sum(1 for since in self.waiting.values() if now - since > STUCK_S)
            waited_s = max((now - since for since in self.waiting.values()), default=0.0)
            summary = {
                "ok": self.ok,
                "errors": len(self.errors),
                "errors_for_s": round(self.errors[-1] - self.errors[0], 1) if self.errors else 0.0,
                "longest_wait_s": round(max(self.longest_s, waited_s), 1),
                "users_stuck": stuck,
            }
            print(f"summary {json.dumps(summary)}", flush=True)
        os._exit(0)


def serve(request: Callable[[int], None]) -> NoReturn:
    """Have USERS threads call request(number), one call after another each, until SIGTERM."""
    tally = Tally()
    signal.signal(signal.SIGTERM, lambda *_: tally.end())

    def user(name: int) -> None:
        while True:
            number, error = tally.asks(name), None
            try:
                request(number)
            except Exception as raised:  # noqa: BLE001 - whatever it is, a user saw it
                error = raised
            tally.answered(name, number, error)
            time.sleep(PAUSE_S)

    for name in range(USERS):
        threading.Thread(target=user, args=(name,), daemon=True).start()
    while True:
        time.sleep(0.1)  # signals are handled here


async def serve_async(request: Callable[[int], Awaitable[None]]) -> NoReturn:
    """The same with tasks of an event loop."""
    tally = Tally()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, tally.end)

    async def user(name: int) -> None:
        while True:
            number, error = tally.asks(name), None
            try:
                await request(number)
            except Exception as raised:  # noqa: BLE001
                error = raised
            tally.answered(name, number, error)
            await asyncio.sleep(PAUSE_S)

    await asyncio.gather(*(user(name) for name in range(USERS)))
    raise AssertionError("users never leave")
