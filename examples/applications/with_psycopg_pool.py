"""psycopg and its pool: ``python with_psycopg_pool.py good|bad``. The database is found in PGHOST and the like."""

from __future__ import annotations

import os
import sys
import time

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout
from users import serve

IS_GOOD = sys.argv[1:] == ["good"]
PATIENCE_S = 40.0
TABLES = "CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, state text NOT NULL)"

if IS_GOOD:
    # A server that is gone is noticed in seconds: while connecting, while sending, and while waiting for an answer.
    SETTINGS = (
        "target_session_attrs=read-write connect_timeout=2 tcp_user_timeout=3000 "
        "keepalives_idle=1 keepalives_interval=1 keepalives_count=3"
    )
    # A connection is looked at before it is lent, and nobody waits for one for half a minute.
    pool = ConnectionPool(
        SETTINGS, min_size=4, max_size=8, timeout=5, check=ConnectionPool.check_connection, open=True
    )
else:
    os.environ.pop("PGCONNECT_TIMEOUT", None)  # as when nobody has thought of it
    pool = ConnectionPool("target_session_attrs=read-write", min_size=4, max_size=8, open=True)


def buy(number: int) -> None:
    """One order, in a transaction with some thinking in the middle of it."""
    with pool.connection() as db, db.transaction():
        # With a key of the application's own, doing it again is harmless: it may have been committed after all.
        db.execute("INSERT INTO orders VALUES (%s, 'new') ON CONFLICT (id) DO NOTHING", (number,))
        time.sleep(0.05)
        db.execute("UPDATE orders SET state = 'paid' WHERE id = %s", (number,))


def request(number: int) -> None:
    """Buy; with good settings again and again while the database has no primary, for a bounded time."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return buy(number)
        except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction, PoolTimeout):
            if not IS_GOOD or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


with pool.connection() as connection:
    connection.execute(TABLES)
serve(request)
