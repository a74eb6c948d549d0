"""Workloads ``patients`` and ``patients-read``: a clinic's single-row insert, and its search by the start of a name.

They work on the dataset ``healthcare``. Where a cluster came up without it, an empty table of patients is made; the
rows of an earlier run go, and nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.datasets.healthcare import HealthcareDataset
from outlast.workloads.base import PROCESS_SHIFT, READ_BY, SERVED_BY, Invocation, Options

_PREFIX: Final = "BENCH-"
_OURS: Final = f"medical_record_number LIKE '{_PREFIX}%'"
_TABLE: Final = next(one for one in HealthcareDataset.schema if one.startswith("CREATE TABLE patients "))
_SETUP: Final = (
    _TABLE.replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS "),
    f"DELETE FROM patients WHERE {_OURS}",
)


@dataclass(frozen=True, slots=True)
class PatientsWorkload:
    """Inserts one patient an op; the record number holds the op's number, so a lost one is found by name."""

    name: ClassVar[str] = "patients"
    tables: ClassVar[tuple[str, ...]] = ("patients",)
    setup: ClassVar[tuple[str, ...]] = _SETUP
    statement: ClassVar[str] = (
        "INSERT INTO patients (medical_record_number, first_name, last_name) "
        f"VALUES ('{_PREFIX}' || $1::bigint, 'Bench', 'Mark') RETURNING {SERVED_BY}"
    )
    values_sql: ClassVar[str] = (
        f"SELECT substr(medical_record_number, {len(_PREFIX) + 1})::bigint FROM patients WHERE {_OURS} ORDER BY 1"
    )
    params: ClassVar[Mapping[str, int]] = {}
    checkers: ClassVar[tuple[str, ...]] = ("lost_writes", "outage", "split_brain")

    def generator(self, process: int, rng: Random, options: Options = Options()) -> Iterator[Invocation]:  # noqa: B008
        """Yield patients numbered process << 40, process << 40 | 1, …"""
        number = process << PROCESS_SHIFT
        while True:
            yield Invocation(number, [number.to_bytes(8, "big")])
            number += 1


@dataclass(frozen=True, slots=True)
class PatientsReadWorkload:
    """Reads all patients whose last name starts with S, every column; the op's value is its number."""

    name: ClassVar[str] = "patients-read"
    tables: ClassVar[tuple[str, ...]] = ("patients",)
    setup: ClassVar[tuple[str, ...]] = _SETUP
    statement: ClassVar[str] = (
        f"WITH served AS MATERIALIZED (SELECT {READ_BY}) "
        "SELECT served.*, p.* FROM served LEFT JOIN patients AS p ON p.last_name LIKE 'S%'"
    )
    values_sql: ClassVar[str] = ""
    params: ClassVar[Mapping[str, int]] = {}
    checkers: ClassVar[tuple[str, ...]] = ("outage",)

    def generator(self, process: int, rng: Random, options: Options = Options()) -> Iterator[Invocation]:  # noqa: B008
        """Yield the same read for ever."""
        number = process << PROCESS_SHIFT
        while True:
            yield Invocation(number, [])
            number += 1
