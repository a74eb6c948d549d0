"""Files that are there whole or as they were before, and locks that processes hold against each other."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from outlast.clock import now_ns
from outlast.errors import ClusterError
from outlast.pace import scaled_deadline_ns

_POLL_S: Final = 0.02


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a path to write to for the length of a with block; what is there at its end takes the place of path.

    A reader sees the old file or the new one; after an error, the old. Raises OSError.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        yield new
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, text: str, *, synced: bool = False) -> None:
    """Put text in place of a file, whole or not at all. synced: and on the disk. Raises OSError."""
    with atomic_path(path) as new, new.open("w", encoding="utf-8") as file:
        file.write(text)
        if synced:
            file.flush()
            os.fsync(file.fileno())


@contextlib.asynccontextmanager
async def exclusive_lock(path: Path, timeout_s: float, taken: str) -> AsyncIterator[None]:
    """Be the only process that holds the lock file at path for the length of a with block.

    Raises ClusterError in the words of ``taken`` when another still holds it after timeout_s.
    """
    deadline = scaled_deadline_ns(timeout_s)
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if now_ns() > deadline:
                    raise ClusterError(taken) from None
            await asyncio.sleep(_POLL_S)
        yield
