"""The logs of every node, kept in the store of a run: the lab that wrote them is gone by the time somebody asks."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from outlast.clusters.service_registry import log_files
from outlast.systems.base import Cluster

FOLDER: Final = "logs"
LOG_BYTES_MAX: Final = 1 << 20
"""Of each log, its end is kept."""


def store_logs(cluster: Cluster, folder: Path) -> None:
    """Copy the end of each node's logs to ``logs/<node>-<log>.log`` in a run's folder; what can't be read is left out.

    At most LOG_BYTES_MAX of each; a copy that is not the whole log says so in its first line.
    """
    place = folder / FOLDER
    for member in cluster.spec.members():
        for log, path in log_files(cluster, member.name).items():
            with contextlib.suppress(OSError):
                text = end_of(path)
                if text:
                    place.mkdir(exist_ok=True, mode=0o700)
                    (place / f"{member.name}-{log}.log").write_bytes(text)


def end_of(path: Path) -> bytes:
    """Return the end of a log, from the start of a line on; at most LOG_BYTES_MAX. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - LOG_BYTES_MAX))
        text = file.read(LOG_BYTES_MAX)
    if size <= LOG_BYTES_MAX:
        return text
    _cut, _, rest = text.partition(b"\n")
    return f"… {size - len(rest)} bytes before are not kept\n".encode() + rest
