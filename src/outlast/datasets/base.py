"""What a dataset is: tables, a few sample rows that are always the same, and as many made ones as asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

NULL: Final = "\\N"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows of one table in COPY's text format. columns: those that data holds, others take their defaults."""

    table: str
    columns: tuple[str, ...]
    data: bytes
    rows: int


class Dataset(Protocol):
    """A schema and its data. Stateless."""

    @property
    def name(self) -> str:
        """Its name in a cluster's spec."""
        ...

    @property
    def tables(self) -> tuple[str, ...]:
        """Its tables, each after those that it refers to."""
        ...

    @property
    def schema(self) -> tuple[str, ...]:
        """The statements that make the tables, run before there are rows."""
        ...

    @property
    def constraints(self) -> tuple[str, ...]:
        """The statements that add references and indexes, run after the rows: many times quicker than before."""
        ...

    def sample(self) -> Iterator[RowBatch]:
        """Yield the sample rows, tables in order; the same ones always."""
        ...

    def generated(self, rows: int, seed: int) -> Iterator[RowBatch]:
        """Yield that many further rows in all, tables in order; the same ones for the same seed.

        Raises ConfigError when the dataset has none to make.
        """
        ...


def batch(table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> RowBatch:
    """Return rows as a batch; None becomes a null, everything else its text."""
    lines = ["\t".join(map(_field, row)) for row in rows]
    return RowBatch(table, tuple(columns), "".join(f"{line}\n" for line in lines).encode(), len(lines))


def _field(value: object) -> str:
    return NULL if value is None else str(value).translate(_ESCAPES)
