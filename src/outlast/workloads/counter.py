"""Workload ``counter``: adds to one number, and reads of it. Is every read a sum that can have been?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.history.op import NONE
from outlast.workloads.base import READ_BY, SERVED_BY, Answers, Invocation, Options, Txn, TxnStep
from outlast.workloads.micro_ops import number

AMOUNT_MAX: Final = 5

_ADD: Final = f"UPDATE outlast_counter SET value = value + $1::bigint RETURNING {SERVED_BY}".encode()
_READ: Final = f"SELECT {READ_BY}, (SELECT value FROM outlast_counter)".encode()


@dataclass(frozen=True, slots=True)
class CounterWorkload:
    """Adds to the only row of ``outlast_counter``."""

    name: ClassVar[str] = "counter"
    tables: ClassVar[tuple[str, ...]] = ("outlast_counter",)
    setup: ClassVar[tuple[str, ...]] = (
        "DROP TABLE IF EXISTS outlast_counter",
        "CREATE TABLE outlast_counter (value bigint NOT NULL)",
        "INSERT INTO outlast_counter VALUES (0)",
    )
    statement: ClassVar[str] = ""
    values_sql: ClassVar[str] = ""
    params: ClassVar[Mapping[str, int]] = {"readers": 0}
    checkers: ClassVar[tuple[str, ...]] = ("counter_bounds",)

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield adds and reads, evenly."""
        while True:
            if options.reads_only or rng.random() < 0.5:
                yield Invocation(NONE, [], None, Txn("read", (TxnStep(_READ, ()),), None, _read))
            else:
                amount = rng.randint(1, AMOUNT_MAX)
                yield Invocation(
                    amount, [], None, Txn("add", (TxnStep(_ADD, (number(amount),), needed=True),))
                )


def _read(answers: Answers) -> int:
    return int(answers[0] or 0)
