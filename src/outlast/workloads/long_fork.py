"""Workload ``long-fork``: two writes, and two readers who see them in opposite orders.

Time is cut into slices. In each slice every writer writes a key of its own, once, and all clients read all keys of
the slice in one snapshot. Seen from one node the reads form a chain. A primary shows commits in the order in which
their backends wake up, a standby in the order of their records in the log, so reads of both may form a fork.

With ``mixed: 1`` every other writer commits with ``synchronous_commit = local``, as an application does for what
matters less: it is visible on the primary at once, while a write before it in the log still waits for the standby.
That widens the gap from the time to wake a backend to a round trip.

Source: jepsen.tests.long-fork; Kingsbury, "Amazon RDS for PostgreSQL 17.4" (Jepsen, 2025).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.clock import now_ns
from outlast.history.op import NONE
from outlast.workloads.base import READ_BY, SERVED_BY, Answers, Invocation, Options, Txn, TxnStep
from outlast.workloads.micro_ops import number

_NS_PER_MS: Final = 1_000_000
_WRITE: Final = (
    "INSERT INTO outlast_long_fork (slice, writer, value) "
    f"VALUES ($1::bigint, $2::bigint, $3::bigint) RETURNING {SERVED_BY}"
).encode()
_READ: Final = (
    f"SELECT {READ_BY}, (SELECT array_agg(writer) FROM outlast_long_fork WHERE slice = $1::bigint)".encode()
)
_LOCAL: Final = TxnStep(b"SET LOCAL synchronous_commit = local", ())


@dataclass(frozen=True, slots=True)
class LongForkWorkload:
    """Writes each key of ``outlast_long_fork`` once, and reads the keys of a slice together."""

    name: ClassVar[str] = "long-fork"
    tables: ClassVar[tuple[str, ...]] = ("outlast_long_fork",)
    setup: ClassVar[tuple[str, ...]] = (
        "DROP TABLE IF EXISTS outlast_long_fork",
        "CREATE TABLE outlast_long_fork "
        "(slice bigint, writer bigint, value bigint NOT NULL, PRIMARY KEY (slice, writer))",
    )
    statement: ClassVar[str] = ""
    values_sql: ClassVar[str] = ""
    params: ClassVar[Mapping[str, int]] = {"writers": 4, "slice_ms": 15, "mixed": 0, "readers": 4}
    checkers: ClassVar[tuple[str, ...]] = ("long_fork", "rw_register")

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield, in each slice, the write of this process's key if it is a writer, then reads of all its keys."""
        writers, slice_ns = options.params["writers"], options.params["slice_ms"] * _NS_PER_MS
        written = -1
        while True:
            now = max(0, now_ns() - options.epoch_ns) // slice_ns
            if not options.reads_only and process < writers and now > written:
                written = now
                yield _write(now, process, writers, local=bool(options.params["mixed"]) and process % 2 == 1)
            else:
                yield _read(now, writers)


def _write(slice_: int, writer: int, writers: int, *, local: bool) -> Invocation:
    key = slice_ * writers + writer
    step = TxnStep(_WRITE, (number(slice_), number(writer), number(key)), needed=True)
    return Invocation(
        NONE, [], None, Txn("txn", (_LOCAL, step) if local else (step,), _text([["w", key, key]]))
    )


def _read(slice_: int, writers: int) -> Invocation:
    keys = range(slice_ * writers, (slice_ + 1) * writers)

    def told(answers: Answers) -> str:
        seen = {int(each) for each in (answers[0] or b"{}")[1:-1].split(b",") if each}
        return _text([["r", key, key if key - keys.start in seen else None] for key in keys])

    asked = _text([["r", key, None] for key in keys])
    return Invocation(NONE, [], None, Txn("txn", (TxnStep(_READ, (number(slice_),)),), asked, told))


def _text(mops: list[list[object]]) -> str:
    return json.dumps(mops, separators=(",", ":"))
