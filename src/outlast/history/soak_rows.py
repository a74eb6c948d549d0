"""How the soak's writer names its rows and ops in a history; its checker reads them so."""

from __future__ import annotations

from typing import Final

BATCH_ROWS: Final = 10

INSERT: Final = "soak-writer"
"""Function of an insert; its value is the row's number, its payload ``[id, fixed hash, state hash]``."""

UPDATE: Final = "soak-update"
"""Function of an update; its payload is ``[[id, number, fixed hash, state hash before, and after], …]``."""

NOT_OURS: Final = -1
"""Stands, in the final read, for the number of a row that holds nothing which the writer writes. It is never shown."""

UPDATE_ROWS: Final = 5
"""Rows that one update takes at most."""

ROWS: Final = "/rows"
"""Added to a workload's name where the final read keeps all of its rows, for those that are audited row by row."""

ROW_FIELDS: Final = ("id", "number", "fixed", "state", "updated_us")
"""What the final read holds of each row, one after another. updated_us: µs since 1970 when the row says UPDATE, 0 when
it says INSERT, −1 when it says anything else."""


def row_name(number: int) -> str:
    """Return the ``test_value`` of a row."""
    return f"write_batch_{number // BATCH_ROWS}-row_{number % BATCH_ROWS}"
