"""A lab that several tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from outlast.clusters import lifecycle
from outlast.config import ClusterSpec
from outlast.systems.base import Cluster

ODD_FOLDER = 'st ate\'s %d é "q" ' + "x" * 100
"""A name that a person's state folder may have, and that breaks programs which hand paths to a shell or a conninfo."""


@contextmanager
def lab_up(
    state: Path, name: str, spec: ClusterSpec, then: Callable[[Cluster], Awaitable[None]] | None = None
) -> Iterator[str]:
    """Keep a lab up in a state folder for the length of a with block and give its name; nothing of it may stay.

    It outlives the event loop that made it, since each test attaches to it from a loop of its own, and ends with this
    process, however that ends. then: done once it is up.
    """

    async def up() -> None:
        made = await lifecycle.bring_up(spec, name, lambda _words: None, keep=False)
        if then is not None:
            await then(made.cluster)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTLAST_STATE", str(state))
        asyncio.run(up())
        yield name
        patch.setenv(
            "OUTLAST_STATE", str(state)
        )  # a test may have put back what was there before its lab came up
        assert asyncio.run(lifecycle.take_down(name)).residue == ()


class SharedLab:
    """A lab for one test after another, until one of them fails: the next gets a fresh lab, so one failure stays one.

    up: brings a lab up for the length of a with block and gives its name.
    """

    def __init__(self, up: Callable[[], AbstractContextManager[str]]) -> None:
        self._up = up
        self._lab = ExitStack()
        self._name: str | None = None

    @contextmanager
    def for_test(self, session: pytest.Session) -> Iterator[str]:
        """Give the lab's name to one test of a session."""
        if self._name is None:
            self._name = self._lab.enter_context(self._up())
        failures = session.testsfailed
        yield self._name
        if session.testsfailed > failures:
            self.close()

    def close(self) -> None:
        """Remove the lab, if there is one."""
        self._name = None
        self._lab.close()
