"""Reads what a workload's table holds at the end, fast enough for millions of rows."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import psycopg

from outlast.errors import ClusterError
from outlast.history.op import I64

# COPY in binary format: a header of 19 bytes, then per row the number of fields and each field's length and
# value, then a trailer of 2 bytes. https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4
_HEADER_BYTES: Final = 19
_TRAILER_BYTES: Final = 2
_ROW: Final = np.dtype([("fields", ">i2"), ("bytes", ">i4"), ("value", ">i8")])


def read_values(connection: psycopg.Connection[Any], values_sql: str) -> I64:
    """Return the bigint column of a query as an array, in the query's order.

    values_sql: a workload's, a query of one bigint column without nulls. About half a second a million rows.
    Raises ClusterError when the query has another shape, and psycopg's own errors.
    """
    with connection.cursor().copy(f"COPY ({values_sql}) TO STDOUT (FORMAT binary)".encode()) as copy:
        data = b"".join(copy)
    body = len(data) - _HEADER_BYTES - _TRAILER_BYTES
    if body % _ROW.itemsize:
        raise ClusterError(f"{values_sql} does not return one bigint column without nulls")
    rows = np.frombuffer(data, dtype=_ROW, count=body // _ROW.itemsize, offset=_HEADER_BYTES)
    if not ((rows["fields"] == 1) & (rows["bytes"] == 8)).all():
        raise ClusterError(f"{values_sql} does not return one bigint column without nulls")
    return rows["value"].astype(np.int64)
