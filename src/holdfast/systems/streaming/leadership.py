"""Who leads, written down: a node that is not named here never starts as a primary.

The record is made after the old primary has been fenced and before the new one is promoted. So at every moment
at most the node it names can take writes, also when the tool dies in between. A lock keeps two operators apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from holdfast.clock import deadline_ns, now_ns
from holdfast.errors import ClusterError, HostError

FILE: Final = "leadership.json"
LOCK_TIMEOUT_S: Final = 120.0
POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Record:
    """primary: the only node that may take writes. term: counts its changes. waits_for: one of these standbys
    holds every write that was acknowledged; none are named where writes wait for nobody."""

    primary: str
    term: int = 1
    waits_for: tuple[str, ...] = ()


class Leadership:
    """The record of one cluster, in folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def read(self) -> Record:
        """Return the record. Raises HostError when there is none."""
        try:
            document = json.loads(self._path.read_text())
            return Record(document["primary"], document["term"], tuple(document["waits_for"]))
        except (OSError, ValueError, KeyError) as error:
            raise HostError(f"who leads cannot be read from {self._path}: {error}") from error

    def write(self, record: Record) -> None:
        """Put a record in place of the last one, whole or not at all, and on the disk."""
        new = self._path.with_suffix(".new")
        with new.open("w") as file:
            file.write(json.dumps(asdict(record)))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Be the only one who moves or starts servers for the length of a with block. Raises ClusterError."""
        deadline = deadline_ns(LOCK_TIMEOUT_S)
        with self._path.with_suffix(".lock").open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if now_ns() > deadline:
                        raise ClusterError(
                            f"another operator has been at work for {LOCK_TIMEOUT_S:g} s"
                        ) from None
                await asyncio.sleep(POLL_S)
            yield
