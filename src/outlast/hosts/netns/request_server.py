"""The loop of a lab's own processes: one thread, one selector, requests answered at once.

Small on purpose: these processes are forked from, so they hold no threads and no event loop of a library.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import traceback
from collections.abc import Callable

from outlast.hosts.netns import messages

Handler = Callable[[messages.Message, list[int], socket.socket], messages.Message | None]
"""Answers one request (message, its descriptors, its connection); None when it answers by itself."""


class RequestServer:
    """Serve requests on a unix socket. A request names its handler in ``op``."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self.handlers: dict[str, Handler] = {}
        self.on_disconnect: Callable[[socket.socket], None] = lambda _connection: None
        self.watch(listener, self._accept)

    def watch(self, file: socket.socket | int, ready: Callable[[], None]) -> None:
        """Call ready whenever file can be read."""
        self._selector.register(file, selectors.EVENT_READ, ready)

    def unwatch(self, file: socket.socket | int) -> None:
        """Stop watching file."""
        self._selector.unregister(file)

    def serve_forever(self) -> None:
        """Answer requests until the process ends."""
        while True:
            for key, _events in self._selector.select():
                key.data()

    def _accept(self) -> None:
        connection, _address = self._listener.accept()
        self.watch(connection, lambda: self._serve(connection))

    def _serve(self, connection: socket.socket) -> None:
        try:
            message, fds = messages.receive(connection)
        except OSError:
            message, fds = None, []
        if message is None:
            self.unwatch(connection)
            self.on_disconnect(connection)
            connection.close()
            return
        try:
            handler = self.handlers.get(str(message.get("op")))
            if handler is None:
                raise ValueError(f"no such request: {message.get('op')!r}")
            reply = handler(message, fds, connection)
        except Exception as error:  # noqa: BLE001 - whatever a request does, this process must go on serving
            log(traceback.format_exc())
            reply = messages.Failure.of(error).to_message()
        finally:
            for fd in fds:
                os.close(fd)
        if reply is not None:
            answer(connection, reply)


def answer(connection: socket.socket, message: messages.Message) -> None:
    """Send a reply to a caller that may have gone."""
    try:
        messages.send(connection, message)
    except OSError:
        log("a caller left before its answer")


def log(words: str) -> None:
    """Write a line to the lab's log. A disk that is full must not end the lab, so a line may be lost."""
    with contextlib.suppress(OSError):
        print(words, flush=True)
