"""One history's ops as one Arrow file: compressed, self-describing, readable from any language.

A recording is made to survive a kill; this is made to be kept. Every column of ``Ops`` is a column here;
function, node and error are dictionaries, what is unknown is null, and a completion that never came is null.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any, Final

import nanoarrow as na
import numpy as np
from arro3.core import Array, Table
from arro3.io import read_ipc, write_ipc
from nanoarrow.c_array import CArray, CArrayView

from outlast.errors import HistoryError
from outlast.files import atomic_path
from outlast.history import arrow
from outlast.history.op import NEVER, NONE, Ops

_BATCH_OPS: Final = 1 << 17
_PLAIN: Final = {
    "process": np.int32,
    "invoke_ns": np.int64,
    "invoke_pos": np.int64,
    "outcome": np.uint8,
    "timeline": np.int32,
    "lsn": np.int64,
}
_NULLABLE: Final = {"key": NONE, "value": NONE, "complete_ns": NEVER, "complete_pos": NEVER}
_NAMED: Final = {"f": np.int16, "node": np.int16, "error": np.int32}


def write_ops(path: Path, ops: Ops) -> None:
    """Write ops to a file that is there whole or not at all. Raises HistoryError when that fails."""
    named = {name: arrow.labels(getattr(ops, name), getattr(ops, f"{name}_names")) for name in _NAMED}
    starts = range(0, max(1, len(ops)), _BATCH_OPS)  # an empty batch too: it holds the names
    batches = [arrow.record_batch(_columns(ops, named, slice(start, start + _BATCH_OPS))) for start in starts]
    try:
        with atomic_path(path) as new:
            write_ipc(Table.from_batches(batches), new, compression="zstd")
    except Exception as error:  # arro3 raises no narrower class
        raise HistoryError(f"cannot be written: {error}", file=str(path)) from error


def _columns(ops: Ops, named: dict[str, Array], rows: slice) -> dict[str, CArray | Array]:
    columns: dict[str, CArray | Array] = {name: arrow.numbers(getattr(ops, name)[rows]) for name in _PLAIN}
    for name, absent in _NULLABLE.items():
        column = getattr(ops, name)[rows]
        columns[name] = arrow.numbers(column, column == absent)
    count = len(ops.process[rows])
    columns |= {name: array.slice(rows.start, count) for name, array in named.items()}
    columns["payload"] = arrow.null_texts(count) if ops.payload is None else arrow.texts(ops.payload[rows])
    return columns


def load_ops(path: Path) -> Ops:
    """Return the ops of a file that ``write_ops`` wrote. Raises HistoryError naming the file."""
    try:
        batches = [na.c_array(batch) for batch in read_ipc(path)]
        return _ops([arrow.fields(batch) for batch in batches])
    except Exception as error:  # arro3 raises no narrower class
        raise HistoryError(f"cannot be read as stored ops: {error}", file=str(path)) from error


def _ops(batches: list[dict[str, CArrayView]]) -> Ops:
    columns: dict[str, Any] = {}  # numpy arrays; mypy cannot tell which field each of them fills
    for name, dtype in _PLAIN.items():
        columns[name] = np.concatenate([arrow.column_of(batch[name]) for batch in batches]).astype(dtype)
    for name, absent in _NULLABLE.items():
        columns[name] = np.concatenate([arrow.column_of(batch[name], absent) for batch in batches])
    for name, dtype in _NAMED.items():
        columns[name] = np.concatenate([arrow.column_of(batch[name], -1) for batch in batches]).astype(dtype)
    names = {
        name: tuple(text or "" for text in arrow.texts_of(batches[0][name].dictionary)) for name in _NAMED
    }
    payloads = [batch["payload"] for batch in batches]
    return Ops(
        **columns,
        f_names=names["f"],
        node_names=names["node"],
        error_names=names["error"],
        payload=None
        if all(arrow.all_null(payload) for payload in payloads)
        else [*chain.from_iterable(arrow.texts_of(payload) for payload in payloads)],
    )
