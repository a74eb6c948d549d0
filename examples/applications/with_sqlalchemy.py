"""SQLAlchemy: ``python with_sqlalchemy.py good|bad``. The database is found in PGHOST and the like."""

from __future__ import annotations

import os
import sys
import time

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, TimeoutError
from users import serve

IS_GOOD = sys.argv[1:] == ["good"]
PATIENCE_S = 40.0
TABLES = "CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, state text NOT NULL)"

if IS_GOOD:
    engine = create_engine(
        "postgresql+psycopg://",
        pool_size=8,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,  # a connection is looked at before it is lent
        connect_args={
            "target_session_attrs": "read-write",
            "connect_timeout": 2,
            "tcp_user_timeout": 3000,
            "keepalives_idle": 1,
            "keepalives_interval": 1,
            "keepalives_count": 3,
        },
    )
else:
    os.environ.pop("PGCONNECT_TIMEOUT", None)
    engine = create_engine("postgresql+psycopg://", pool_size=8, max_overflow=0)


def buy(number: int) -> None:
    """One order, in a transaction with some thinking in the middle of it."""
    with engine.begin() as db:
        db.execute(text("INSERT INTO orders VALUES (:id, 'new') ON CONFLICT (id) DO NOTHING"), {"id": number})
        time.sleep(0.05)
        db.execute(text("UPDATE orders SET state = 'paid' WHERE id = :id"), {"id": number})


def request(number: int) -> None:
    """Buy; with good settings again while the connection was at fault, for a bounded time."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return buy(number)
        except (DBAPIError, TimeoutError) as error:
            mine = isinstance(error, DBAPIError) and not error.connection_invalidated and not _is_lost(error)
            if mine or not IS_GOOD or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _is_lost(error: DBAPIError) -> bool:
    """Whether the server, not the statement, was at fault. Class 25006 is a server that was demoted."""
    return type(error.orig).__name__ == "OperationalError" or getattr(error.orig, "sqlstate", None) == "25006"


with engine.begin() as connection:
    connection.execute(text(TABLES))
serve(request)
