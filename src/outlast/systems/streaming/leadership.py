"""Who leads, written down: a node that is not named here never starts as a primary.

The record is made after the old primary has been fenced and before the new one is promoted. So at every moment
at most the node it names can take writes, also when the tool dies in between. A lock keeps two operators apart.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from outlast.errors import HostError
from outlast.files import exclusive_lock, write_atomic

FILE: Final = "leadership.json"
LOCK_TIMEOUT_S: Final = 120.0


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
        write_atomic(self._path, json.dumps(asdict(record)), synced=True)

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Be the only one who moves or starts servers for the length of a with block. Raises ClusterError."""
        taken = f"another operator has been at work for {LOCK_TIMEOUT_S:g} s"
        async with exclusive_lock(self._path.with_suffix(".lock"), LOCK_TIMEOUT_S, taken):
            yield
