"""Damage to one replica's data, behind PostgreSQL's back: what only a comparison of nodes can find."""

from __future__ import annotations

import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from waiting import until_async

from outlast.systems.base import Cluster, HasServers

PAGE = 8192
LINE_POINTERS = 24
"""Where the pointers to a page's rows begin. Source: PostgreSQL's storage/bufpage.h."""


async def edit_replica(cluster: Cluster, node: str, table: str, edit: Callable[[bytes], bytes]) -> None:
    """Change the file of a table on a standby of a Patroni cluster while its server is down, and have it started again.

    The cluster needs ``checksums=off`` and ``full_page_writes=off``. What was written before is on the standby's disk,
    behind a restart point, so that recovery does not write those pages again.
    """
    primary = (await cluster.view()).primary
    assert primary is not None
    await _ask(cluster, primary, "CHECKPOINT")
    (position,) = await _ask(cluster, primary, "SELECT checkpoint_lsn FROM pg_control_checkpoint()")

    async def has_restart_point() -> bool:
        await _ask(cluster, node, "CHECKPOINT")
        (there,) = await _ask(
            cluster, node, f"SELECT checkpoint_lsn >= '{position}' FROM pg_control_checkpoint()"
        )
        return bool(there)

    await until_async(has_restart_point, f"a restart point at {position} on {node}")
    (path,) = await _ask(cluster, node, f"SELECT pg_relation_filepath('{table}')")
    killable: Any = cluster
    host = cluster.lab.hosts[node]
    await host.signal(signal.SIGSTOP, pids=await killable.process_ids(node, "patroni"))
    await host.signal(signal.SIGKILL, pids=await killable.process_ids(node, "postgres"))

    async def is_down() -> bool:
        return not await killable.process_ids(node, "postgres")

    await until_async(is_down, "the server to be gone")
    file = Path(host.folder) / "data" / str(path)
    before = file.read_bytes()
    after = edit(before)
    assert len(after) == len(before)
    assert after != before
    file.write_bytes(after)
    await host.signal(signal.SIGCONT, pids=await killable.process_ids(node, "patroni"))


def with_first_column(content: bytes, ctid: str, value: int) -> bytes:
    """Return a table's file with another bigint as the first column of the row at ctid, such as ``(0,1)``."""
    page, item = map(int, ctid.strip("()").split(","))
    (pointer,) = struct.unpack_from("<I", content, page * PAGE + LINE_POINTERS + 4 * (item - 1))
    row = page * PAGE + (pointer & 0x7FFF)
    header_bytes = content[row + 22]  # t_hoff, storage/htup_details.h
    changed = bytearray(content)
    struct.pack_into("<q", changed, row + header_bytes, value)
    return bytes(changed)


async def _ask(cluster: Cluster, node: str, query: str) -> tuple[Any, ...]:
    """Return the first row of a query on a node; () for a statement without rows."""
    assert isinstance(cluster, HasServers)
    connection = await cluster.connect(node, database=cluster.spec.database, timeout_s=20)
    async with connection:
        cursor = await connection.execute(query.encode())
        return (await cursor.fetchone() or ()) if cursor.description else ()
