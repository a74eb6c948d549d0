"""Workload ``bank``: money moves between accounts, and none may appear or vanish.

A read takes all balances in one statement, hence in one snapshot, at every isolation level.
Source: Jepsen, jepsen.tests.bank.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.history.op import NONE
from outlast.workloads.base import READ_BY, SERVED_BY, Answers, Invocation, Options, Txn, TxnStep
from outlast.workloads.micro_ops import number

ACCOUNTS: Final = 8
TOTAL: Final = 800
AMOUNT_MAX: Final = 20

_TAKE: Final = (
    "UPDATE outlast_bank SET balance = balance - $2::bigint "
    f"WHERE account = $1::bigint AND balance >= $2::bigint RETURNING {SERVED_BY}"
).encode()
_GIVE: Final = (
    f"UPDATE outlast_bank SET balance = balance + $2::bigint WHERE account = $1::bigint RETURNING {SERVED_BY}"
).encode()
_READ: Final = f"SELECT {READ_BY}, (SELECT json_object_agg(account, balance) FROM outlast_bank)".encode()


@dataclass(frozen=True, slots=True)
class BankWorkload:
    """Moves money between the accounts in ``outlast_bank``."""

    name: ClassVar[str] = "bank"
    tables: ClassVar[tuple[str, ...]] = ("outlast_bank",)
    setup: ClassVar[tuple[str, ...]] = (
        "DROP TABLE IF EXISTS outlast_bank",
        "CREATE TABLE outlast_bank (account bigint PRIMARY KEY, balance bigint NOT NULL)",
        f"INSERT INTO outlast_bank SELECT n, {TOTAL // ACCOUNTS} FROM generate_series(1, {ACCOUNTS}) AS n",
    )
    statement: ClassVar[str] = ""
    values_sql: ClassVar[str] = ""
    params: ClassVar[Mapping[str, int]] = {"readers": 0}
    checkers: ClassVar[tuple[str, ...]] = ("bank",)

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield transfers and reads, evenly."""
        while True:
            if options.reads_only or rng.random() < 0.5:
                yield Invocation(NONE, [], None, Txn("read", (TxnStep(_READ, ()),), None, _read))
            else:
                source, target = rng.sample(range(1, ACCOUNTS + 1), 2)
                yield _transfer(source, target, rng.randint(1, AMOUNT_MAX))


def _transfer(source: int, target: int, amount: int) -> Invocation:
    """An overdraft gives the transfer up. The lower account comes first, so that no two transfers deadlock."""
    steps = [
        TxnStep(_TAKE, (number(source), number(amount)), needed=True),
        TxnStep(_GIVE, (number(target), number(amount)), needed=True),
    ]
    value = json.dumps({"from": source, "to": target, "amount": amount})
    return Invocation(NONE, [], None, Txn("transfer", steps if source < target else steps[::-1], value))


def _read(answers: Answers) -> str:
    return (answers[0] or b"{}").decode()
