"""What commands print, and how they end.

Data goes to stdout, everything else to stderr. ``--json`` prints one document. Exit: 0 pass, 1 fail, 2 unknown or
invalid, 64 bad usage or configuration, 70 our own fault, 130 interrupted, 141 when the reader of our
output went away before its end (as the shell says of a program that SIGPIPE ended).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from outlast.errors import ConfigError
from outlast.report.literal import literal_text

if TYPE_CHECKING:
    from outlast.history.history import JSON


def open_closed_streams() -> None:
    """Put /dev/null where our input, output or errors were closed, so that no file of ours takes their numbers."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            found = os.open(os.devnull, os.O_RDWR)
            if found != number:
                os.dup2(found, number)
                os.close(found)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - it lives as long as we do


open_closed_streams()

PLAIN_WIDTH: Final = 160
"""Columns of a table that goes to a file or a pipe, where nothing wraps."""

OUT: Final = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
ERR: Final = Console(stderr=True, highlight=False, soft_wrap=True)

EXIT_CODES: Final[Mapping[str, int]] = {"pass": 0, "fail": 1, "unknown": 2, "invalid": 2}
"""By verdict."""

T = TypeVar("T")


def write_file(path: str, text: str) -> None:
    """Write an OutputFile and make the folders it is in. Raises ConfigError when that cannot be done after all."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=path) from error


def print_json(document: JSON) -> None:
    """Print one JSON document to stdout."""
    sys.stdout.write(json.dumps(document, indent=2 if sys.stdout.isatty() else None) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Print a line for a person to stdout, taken literally: no markup in names or messages has an effect."""
    OUT.print(literal_text(text))


class Reporter:
    """Tells a person what long work is at: one changing line on a terminal, plain lines elsewhere."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self._title = title
        self._quiet = quiet
        self._status = None if quiet or not ERR.is_terminal else ERR.status(literal_text(title))
        self._words = ""
        self._below: RenderableType | None = None

    @property
    def is_live(self) -> bool:
        """Whether what it shows changes in place."""
        return self._status is not None

    def show_below(self, body: RenderableType | None) -> None:
        """Show something below the line, until other is shown there or, with None, nothing; on a terminal only."""
        self._below = body
        self._draw()

    def _draw(self) -> None:
        if self._status is not None:
            line = literal_text(f"{self._title}: {self._words}")
            self._status.update(line if self._below is None else Group(line, self._below))

    def __enter__(self) -> Reporter:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, words: str) -> None:
        """Say what the work is at."""
        if self._quiet:
            return
        self._words = words
        if self._status is not None:
            self._draw()
        else:
            ERR.print(literal_text(f"{self._title}: {words}"))


class Watcher:
    """Shows something that changes: in place on a terminal; elsewhere a line whenever its words are new."""

    def __init__(self, console: Console = OUT) -> None:
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._last = ""

    def __enter__(self) -> Watcher:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, headline: str, body: RenderableType, words: str) -> None:
        """Show headline and body, or headline and words where nothing can be overwritten."""
        if self._live is not None:
            self._live.update(Group(literal_text(headline), body), refresh=True)
        elif (line := f"{headline}; {words}") != self._last:
            self._last = line
            say(line)


def table(*columns: str) -> Table:
    """Return an empty table in the house's style."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; SIGTERM and Ctrl-C cancel it, and it is let clean up."""

    async def guarded() -> T:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        stopped = False

        def stop() -> None:
            nonlocal stopped
            if not stopped:  # once: a second signal must not interrupt the cleaning up
                stopped = True
                task.cancel()

        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, RuntimeError):
                loop.add_signal_handler(number, stop)
        try:
            return await work
        except asyncio.CancelledError:
            if stopped:
                raise KeyboardInterrupt from None
            raise

    return asyncio.run(guarded())


def asynchronous(command: Callable[..., Coroutine[Any, Any, object]]) -> Callable[..., object]:
    """Make a click command of a coroutine function."""

    @functools.wraps(command)
    def call(*args: object, **kwargs: object) -> object:
        return run_async(command(*args, **kwargs))

    return call
