"""Workload ``append``: rows with unique numbers, inserted and never changed.

The simplest load that can lose something. Each op inserts one row in a single round trip and a transaction of
its own, and the reply says which node, on which timeline, took it. A number is used once, whatever came of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from outlast.workloads.base import PROCESS_SHIFT, SERVED_BY, Invocation, Options


@dataclass(frozen=True, slots=True)
class AppendWorkload:
    """Inserts unique numbers into ``outlast_append``; their upper bits name the process that wrote them."""

    name: ClassVar[str] = "append"
    tables: ClassVar[tuple[str, ...]] = ("outlast_append",)
    setup: ClassVar[tuple[str, ...]] = (
        "DROP TABLE IF EXISTS outlast_append",
        "CREATE TABLE outlast_append (id bigint PRIMARY KEY)",
    )
    statement: ClassVar[str] = f"INSERT INTO outlast_append (id) VALUES ($1::bigint) RETURNING {SERVED_BY}"
    values_sql: ClassVar[str] = "SELECT id FROM outlast_append ORDER BY id"
    params: ClassVar[Mapping[str, int]] = {}
    checkers: ClassVar[tuple[str, ...]] = ("lost_writes", "outage", "split_brain")

    def generator(self, process: int, rng: Random, options: Options = Options()) -> Iterator[Invocation]:  # noqa: B008
        """Yield inserts of process << 40, process << 40 | 1, …; there is nothing to choose."""
        number = process << PROCESS_SHIFT
        while True:
            yield Invocation(number, [number.to_bytes(8, "big")])
            number += 1
