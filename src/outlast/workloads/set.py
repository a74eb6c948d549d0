"""Workload ``set``: adds of unique elements, and reads of the whole set. Which were lost, which seen late?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.history.op import NONE
from outlast.workloads.base import (
    READ_BY,
    SERVED_BY,
    Answers,
    Invocation,
    Options,
    Txn,
    TxnStep,
    small_number,
)
from outlast.workloads.micro_ops import number

READ_SHARE: Final = 0.05
"""Reads are few, since each carries the whole set."""

_ADD: Final = f"INSERT INTO outlast_set VALUES ($1::bigint) RETURNING {SERVED_BY}".encode()
_READ: Final = f"SELECT {READ_BY}, (SELECT array_agg(element) FROM outlast_set)".encode()


@dataclass(frozen=True, slots=True)
class SetWorkload:
    """Adds elements to ``outlast_set``, one row each."""

    name: ClassVar[str] = "set"
    tables: ClassVar[tuple[str, ...]] = ("outlast_set",)
    setup: ClassVar[tuple[str, ...]] = (
        "DROP TABLE IF EXISTS outlast_set",
        "CREATE TABLE outlast_set (element bigint PRIMARY KEY)",
    )
    statement: ClassVar[str] = ""
    values_sql: ClassVar[str] = ""
    params: ClassVar[Mapping[str, int]] = {"readers": 0}
    checkers: ClassVar[tuple[str, ...]] = ("set_full",)

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield adds, and a read now and then."""
        n = 0
        while True:
            if options.reads_only or rng.random() < READ_SHARE:
                yield Invocation(NONE, [], None, Txn("read", (TxnStep(_READ, ()),), None, _read))
            else:
                n += 1
                value = small_number(process, n)
                yield Invocation(value, [], None, Txn("add", (TxnStep(_ADD, (number(value),), needed=True),)))


def _read(answers: Answers) -> str:
    """PostgreSQL's ``{1,2}`` is JSON's ``[1,2]``."""
    return f"[{(answers[0] or b'{}')[1:-1].decode()}]"
