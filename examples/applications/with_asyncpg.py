"""asyncpg: ``python with_asyncpg.py good|bad``. The database is found in PGHOST and the like."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import asyncpg
from users import serve_async

IS_GOOD = sys.argv[1:] == ["good"]
PATIENCE_S = 40.0
TABLES = "CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, state text NOT NULL)"
LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.TargetServerAttributeNotMatched,
)
"""What says that the server, not the statement, was at fault."""

# asyncpg has no TCP settings: it is the time-outs of connecting and of each command that notice a server that is gone.
TIMEOUTS: dict[str, float] = {"timeout": 2.0, "command_timeout": 4.0} if IS_GOOD else {}


async def main() -> None:
    """Open the pool and let the users in."""
    hosts, ports = os.environ["PGHOST"].split(","), os.environ["PGPORT"].split(",")
    pool = await asyncpg.create_pool(
        host=hosts,
        port=[int(port) for port in (ports * len(hosts) if len(ports) == 1 else ports)],
        target_session_attrs="read-write",
        min_size=4,
        max_size=8,
        **TIMEOUTS,
    )

    async def buy(number: int) -> None:
        """One order, in a transaction with some thinking in the middle of it."""
        async with pool.acquire(timeout=5 if IS_GOOD else None) as db, db.transaction():
            await db.execute("INSERT INTO orders VALUES ($1, 'new') ON CONFLICT (id) DO NOTHING", number)
            await asyncio.sleep(0.05)
            await db.execute("UPDATE orders SET state = 'paid' WHERE id = $1", number)

    async def request(number: int) -> None:
        """Buy; with good settings again while the server was at fault, for a bounded time."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await buy(number)
            except LOST:
                if not IS_GOOD or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    await pool.execute(TABLES)
    await serve_async(request)


asyncio.run(main())
