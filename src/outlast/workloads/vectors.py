"""Workload ``vectors``: embeddings of 1,536 numbers are stored, and the nearest neighbours of one are looked for.

An index (HNSW) finds them, so that a failover also proves the index on the node that takes over. The extension is made
by the superuser; the PostgreSQL that comes with the wheel has it, the machine's own may not.
Source: https://github.com/pgvector/pgvector
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.history.op import NONE
from outlast.workloads.base import READ_BY, SERVED_BY, Invocation, Options, Txn, TxnStep, unique_number

DIMENSIONS: Final = 1536
READ: Final = "vectors-read"
_INSERT: Final = (
    f"INSERT INTO outlast_vectors (id, embedding) VALUES ($1::bigint, $2::vector) RETURNING {SERVED_BY}"
).encode()
_NEAREST: Final = (
    f"SELECT {READ_BY}, (SELECT json_agg(id) FROM "
    "(SELECT id FROM outlast_vectors ORDER BY embedding <-> $1::vector LIMIT 5) AS n)::text"
).encode()
_STEPS: Final = tuple(str(step / 64) for step in range(-64, 65))


@dataclass(frozen=True, slots=True)
class VectorsWorkload:
    """Inserts into ``outlast_vectors`` and asks for neighbours."""

    name: ClassVar[str] = "vectors"
    tables: ClassVar[tuple[str, ...]] = ("outlast_vectors",)
    superuser_setup: ClassVar[tuple[str, ...]] = ("CREATE EXTENSION IF NOT EXISTS vector",)
    setup: ClassVar[tuple[str, ...]] = (
        "DROP TABLE IF EXISTS outlast_vectors",
        f"CREATE TABLE outlast_vectors (id bigint PRIMARY KEY, embedding vector({DIMENSIONS}) NOT NULL)",
        "CREATE INDEX ON outlast_vectors USING hnsw (embedding vector_l2_ops)",
    )
    statement: ClassVar[str] = ""
    values_sql: ClassVar[str] = "SELECT id FROM outlast_vectors ORDER BY id"
    params: ClassVar[Mapping[str, int]] = {"reads_percent": 50}
    checkers: ClassVar[tuple[str, ...]] = ("lost_writes", "outage", "split_brain")

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield inserts and questions as the dice fall; every vector comes from rng."""
        n = 0
        while True:
            vector = f"[{','.join(rng.choices(_STEPS, k=DIMENSIONS))}]".encode()
            if rng.random() * 100 < options.params.get("reads_percent", 50):
                yield Invocation(NONE, [], None, Txn(READ, (TxnStep(_NEAREST, (vector,)),)))
                continue
            number = unique_number(process, n)
            step = TxnStep(_INSERT, (str(number).encode(), vector), needed=True)
            yield Invocation(number, [], None, Txn(self.name, (step,)))
            n += 1
