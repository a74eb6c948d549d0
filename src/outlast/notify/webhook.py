"""Tells an address of the person's choice of failovers, alerts and verdicts: one POST of JSON each.

A thread of its own sends, so that a receiver that is slow or dead delays nothing: tries are bounded, what could not be
delivered is counted and said, and the end of a run waits for the rest only FLUSH_S. The body is signed when there is a
secret: HMAC-SHA256 (RFC 2104), as ``X-Outlast-Signature: sha256=<hex>``. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import queue
import threading
import uuid
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import outlast
from outlast.clock import deadline_ns, seconds_until, timestamp
from outlast.errors import ConfigError
from outlast.history.history import JSON
from outlast.systems.http import HttpConnection

URL_VARIABLE: Final = "OUTLAST_WEBHOOK_URL"
SECRET_VARIABLE: Final = "OUTLAST_WEBHOOK_SECRET"
TRIES: Final = 4
PAUSES_S: Final = (0.25, 0.5, 1.0)
TIMEOUT_S: Final = 3.0
FLUSH_S: Final = 3.0
WAITING_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Receiver:
    """Whom to tell. secret: signs the bodies, b"" for none."""

    url: str
    secret: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        try:
            port_is_good = parts.port is None or parts.port > 0
        except ValueError:
            port_is_good = False
        if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_good:
            raise ConfigError(
                f"{self.url!r} is no address to post to", key="--webhook", hint="http://HOST:PORT/PATH"
            )

    def headers(self, event: str, delivery: str, body: bytes) -> dict[str, str]:
        """Return the headers of one delivery."""
        found = {
            "Content-Type": "application/json",
            "User-Agent": f"outlast/{outlast.__version__}",
            "X-Outlast-Event": event,
            "X-Outlast-Delivery": delivery,
        }
        if self.secret:
            found["X-Outlast-Signature"] = f"sha256={hmac.new(self.secret, body, hashlib.sha256).hexdigest()}"
        return found

    def post(self, event: str, delivery: str, body: bytes, timeout_s: float) -> str:
        """Deliver once; returns "" when the receiver took it, else why not."""
        try:
            status = asyncio.run(self._post(self.headers(event, delivery, body), body, timeout_s))
        except OSError as error:
            return str(error) or type(error).__name__
        return "" if 200 <= status < 300 else f"it says {status}"

    async def _post(self, headers: Mapping[str, str], body: bytes, timeout_s: float) -> int:
        parts = urlsplit(self.url)
        tls = parts.scheme == "https"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        async with asyncio.timeout(timeout_s):
            connection = await HttpConnection.open(
                str(parts.hostname), parts.port or (443 if tls else 80), tls=tls
            )
            try:
                return (await connection.request("POST", path, body, headers))[0]
            finally:
                connection.close()


_chosen: ContextVar[Receiver | None] = ContextVar("webhook", default=None)


def choose(url: str) -> None:
    """Tell url from now on, in this context. Raises ConfigError for what is no URL of HTTP."""
    _chosen.set(Receiver(url, _secret()))


def receiver() -> Receiver | None:
    """Return whom to tell: who was chosen, else who is named in OUTLAST_WEBHOOK_URL, else nobody."""
    url = os.environ.get(URL_VARIABLE, "")
    return _chosen.get() or (Receiver(url, _secret()) if url else None)


def _secret() -> bytes:
    return os.environ.get(SECRET_VARIABLE, "").encode()


class Sender:
    """Delivers events one after another from a thread of its own, each a few times at most."""

    def __init__(self, to: Receiver) -> None:
        self._to = to
        self._waiting: queue.Queue[tuple[str, bytes] | None] = queue.Queue(WAITING_MAX)
        self._stop = threading.Event()
        self._last_ns = 0
        self.delivered = 0
        self.failed = 0
        self.why = ""
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def tell(self, event: str, body: Mapping[str, JSON]) -> None:
        """Have an event delivered, and return at once; when too many wait it is dropped, and counted."""
        document = {"event": event, "at": timestamp(), **body}
        try:
            self._waiting.put_nowait((event, json.dumps(document).encode()))
        except queue.Full:
            self.failed += 1
            self.why = f"over {WAITING_MAX} events wait for it"

    def close(self, timeout_s: float = FLUSH_S) -> str:
        """Wait at most timeout_s for what still waits; returns "" or what was not delivered, in words."""
        self._last_ns = deadline_ns(timeout_s)
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            self._stop.set()
        self._thread.join(timeout_s)
        self._stop.set()
        left = sum(one is not None for one in tuple(self._waiting.queue)) + self._thread.is_alive()
        lost = self.failed + left
        if not lost:
            return ""
        return f"{lost} of {lost + self.delivered} events could not be delivered: {self.why or 'no answer in time'}"

    def _run(self) -> None:
        while not self._stop.is_set():
            one = self._waiting.get()
            if one is None:
                return
            self._deliver(*one)

    def _deliver(self, event: str, body: bytes) -> None:
        delivery = str(uuid.uuid4())  # the same for every try: a receiver can tell a repetition
        for number in range(TRIES):
            timeout_s = (
                TIMEOUT_S if not self._last_ns else min(TIMEOUT_S, max(0.05, seconds_until(self._last_ns)))
            )
            why = self._to.post(event, delivery, body, timeout_s)
            if not why:
                self.delivered += 1
                return
            self.why = why
            if number == TRIES - 1 or self._stop.wait(PAUSES_S[number]):
                break
        self.failed += 1
