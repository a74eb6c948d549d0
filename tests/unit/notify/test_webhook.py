"""Webhooks, to a real receiver on loopback."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from outlast.errors import ConfigError
from outlast.notify import webhook
from outlast.notify.webhook import TRIES, Receiver, Sender
from outlast.pace import scaled


@dataclass
class Heard:
    """What the receiver got: (headers, body). refuse: how many requests it answers with 503 first."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    refuse: int = 0
    hang: threading.Event | None = None


@pytest.fixture
def heard() -> Iterator[Heard]:
    found = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if found.hang is not None:
                found.hang.wait(scaled(10))
            found.got.append((dict(self.headers), body))
            status = 503 if found.refuse > 0 else 204
            found.refuse -= 1
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}/hook?to=me"
    yield found
    if found.hang is not None:
        found.hang.set()
    server.shutdown()
    server.server_close()


def test_an_event_arrives_with_all_that_is_said_of_it_and_its_signature(heard: Heard) -> None:
    sender = Sender(Receiver(heard.url, b"secret"))
    sender.tell("verdict", {"verdict": "pass", "lab": "l"})
    assert sender.close() == ""
    ((headers, body),) = heard.got
    assert json.loads(body) == {
        "event": "verdict", "verdict": "pass", "lab": "l", "at": json.loads(body)["at"],
    }  # fmt: skip
    assert headers["X-Outlast-Event"] == "verdict"
    wanted = hmac.new(b"secret", body, hashlib.sha256).hexdigest()
    assert headers["X-Outlast-Signature"] == f"sha256={wanted}"


def test_without_a_secret_nothing_is_signed(heard: Heard) -> None:
    sender = Sender(Receiver(heard.url))
    sender.tell("failover", {})
    sender.close()
    assert "X-Outlast-Signature" not in heard.got[0][0]


def test_a_receiver_that_refuses_is_tried_again_with_the_same_delivery(heard: Heard) -> None:
    heard.refuse = 2
    sender = Sender(Receiver(heard.url))
    sender.tell("failover", {"to": "b"})
    assert sender.close() == ""
    assert len(heard.got) == 3
    assert len({headers["X-Outlast-Delivery"] for headers, _ in heard.got}) == 1


def test_tries_are_bounded_and_what_was_lost_is_said(heard: Heard) -> None:
    heard.refuse = 100
    sender = Sender(Receiver(heard.url))
    sender.tell("alert", {})
    assert sender.close(10) == "1 of 1 events could not be delivered: it says 503"
    assert len(heard.got) == TRIES


def test_a_dead_receiver_delays_nobody() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    sender = Sender(Receiver(url))
    start = time.monotonic()
    for _ in range(5000):
        sender.tell("alert", {})
    told = time.monotonic()
    lost = sender.close(0.5)
    assert told - start < 2
    assert time.monotonic() - told < 2
    assert "could not be delivered" in lost


def test_a_receiver_that_hangs_delays_the_end_by_no_more_than_is_said(heard: Heard) -> None:
    heard.hang = threading.Event()
    sender = Sender(Receiver(heard.url))
    sender.tell("verdict", {})
    start = time.monotonic()
    assert "could not be delivered" in sender.close(0.5)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    "url", ["", "nowhere", "ftp://h/", "http://", "http://h:x/", "http://h:0/", "file:///etc"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="no address to post to"):
        Receiver(url)


def test_the_secret_is_not_shown() -> None:
    assert "hidden" not in repr(Receiver("http://h/", b"hidden"))


def test_who_is_told_comes_from_the_environment_when_nobody_was_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(webhook.URL_VARIABLE, raising=False)
    assert webhook.receiver() is None
    monkeypatch.setenv(webhook.URL_VARIABLE, "http://h/x")
    monkeypatch.setenv(webhook.SECRET_VARIABLE, "s")
    found = webhook.receiver()
    assert found is not None
    assert (found.url, found.secret) == ("http://h/x", b"s")
