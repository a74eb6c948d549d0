"""Workload ``list-append``: transactions that append to lists and read them whole.

The sharpest probe of isolation there is: a list shows the order of all that was written to it, so the checker can
recover who came before whom. Source: Kingsbury and Alvaro, "Elle" (VLDB 2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.workloads.base import READ_BY, SERVED_BY, Invocation, Options, TxnStep
from outlast.workloads.micro_ops import PARAMS, micro_op_calls, number

_APPEND: Final = (
    "INSERT INTO outlast_list_append AS old (key, elements) VALUES ($1::bigint, ARRAY[$2::bigint]) "
    f"ON CONFLICT (key) DO UPDATE SET elements = old.elements || excluded.elements RETURNING {SERVED_BY}"
).encode()
_READ: Final = f"SELECT {READ_BY}, (SELECT elements FROM outlast_list_append WHERE key = $1::bigint)".encode()


@dataclass(frozen=True, slots=True)
class ListAppendWorkload:
    """Appends unique elements to lists in ``outlast_list_append``, one row a list."""

    name: ClassVar[str] = "list-append"
    tables: ClassVar[tuple[str, ...]] = ("outlast_list_append",)
    setup: ClassVar[tuple[str, ...]] = (
        "DROP TABLE IF EXISTS outlast_list_append",
        "CREATE TABLE outlast_list_append (key bigint PRIMARY KEY, elements bigint[] NOT NULL)",
    )
    statement: ClassVar[str] = ""
    values_sql: ClassVar[str] = ""
    params: ClassVar[Mapping[str, int]] = PARAMS
    checkers: ClassVar[tuple[str, ...]] = ("list_append",)

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield transactions of appends and reads over the keys that are live."""
        return micro_op_calls(process, rng, options, "append", _step, _elements)


def _step(f: str, key: int, value: int) -> TxnStep:
    return (
        TxnStep(_READ, (number(key),))
        if f == "r"
        else TxnStep(_APPEND, (number(key), number(value)), needed=True)
    )


def _elements(answer: bytes | None) -> list[int]:
    """Return the list in PostgreSQL's text, ``{1,2,3}``; a key without row is the empty list."""
    return [int(each) for each in (answer or b"{}")[1:-1].split(b",") if each]
