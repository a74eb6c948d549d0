"""Workload ``rw-register``: transactions that write and read registers, each value written once.

Says less than ``list-append``, since a register forgets, and does what most applications do. Source: Kingsbury and
Alvaro, "Elle" (VLDB 2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.workloads.base import READ_BY, SERVED_BY, Invocation, Options, TxnStep
from outlast.workloads.micro_ops import PARAMS, micro_op_calls, number

WRITE: Final = (
    "INSERT INTO {table} (key, value) VALUES ($1::bigint, $2::bigint) "
    f"ON CONFLICT (key) DO UPDATE SET value = excluded.value RETURNING {SERVED_BY}"
)
READ: Final = f"SELECT {READ_BY}, (SELECT value FROM {{table}} WHERE key = $1::bigint)"
_WRITE: Final = WRITE.format(table="outlast_rw_register").encode()
_READ: Final = READ.format(table="outlast_rw_register").encode()


@dataclass(frozen=True, slots=True)
class RwRegisterWorkload:
    """Writes unique values to registers in ``outlast_rw_register``, one row a register."""

    name: ClassVar[str] = "rw-register"
    tables: ClassVar[tuple[str, ...]] = ("outlast_rw_register",)
    setup: ClassVar[tuple[str, ...]] = (
        "DROP TABLE IF EXISTS outlast_rw_register",
        "CREATE TABLE outlast_rw_register (key bigint PRIMARY KEY, value bigint NOT NULL)",
    )
    statement: ClassVar[str] = ""
    values_sql: ClassVar[str] = ""
    params: ClassVar[Mapping[str, int]] = PARAMS
    checkers: ClassVar[tuple[str, ...]] = ("rw_register",)

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield transactions of writes and reads over the keys that are live."""
        return micro_op_calls(process, rng, options, "w", _step, _value)


def _step(f: str, key: int, value: int) -> TxnStep:
    return (
        TxnStep(_READ, (number(key),))
        if f == "r"
        else TxnStep(_WRITE, (number(key), number(value)), needed=True)
    )


def _value(answer: bytes | None) -> int | None:
    return None if answer is None else int(answer)
