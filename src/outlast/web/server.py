"""Runs the application on 127.0.0.1 and nowhere else, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import uvicorn

from outlast.errors import ConfigError, UnavailableError
from outlast.web.app import make_app
from outlast.web.guard import Guard

ADDRESS: Final = "127.0.0.1"
TOKEN_CHARS_MIN: Final = 16
END_STREAMS_S: Final = 2


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the command line."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def read_token(path: Path) -> str:
    """Return the token in a file that only its owner can read. Raises ConfigError for any other file."""
    try:
        mode = path.stat().st_mode
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(path), key="--token-file") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError("can be read by others", file=str(path), hint=f"chmod 600 {path}")
    if len(token) < TOKEN_CHARS_MIN or not token.isprintable() or " " in token:
        raise ConfigError(
            f"does not contain a token of at least {TOKEN_CHARS_MIN} characters", file=str(path)
        )
    return token


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(32)


async def serve(port: int, token: str, ready: Callable[[str], None]) -> None:
    """Serve until cancelled. port: 0 for a free one. ready: is told the address once it answers.

    Raises UnavailableError for a port in use.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((ADDRESS, port))
        listening.listen()
    except OSError as error:
        listening.close()
        words = f"port {port} of {ADDRESS} is not available: {os.strerror(error.errno or 0)}"
        raise UnavailableError(words, hint="choose another with --port, or 0 for any") from error
    bound = int(listening.getsockname()[1])
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    app = make_app(Guard(token, bound))
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=END_STREAMS_S,
            timeout_keep_alive=30,
        )
    )
    work = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        ready(f"http://{ADDRESS}:{bound}/")  # the socket listens: who comes early waits
        await asyncio.shield(work)
    finally:
        # Streams never end by themselves: end them first, then let the server finish.
        await app.state.hub.end()
        server.should_exit = True
        await work
        listening.close()
