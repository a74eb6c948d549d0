"""One history's ops as one Arrow file: compressed, self-describing, readable from any language.

A recording is made to survive a kill; this is made to be kept. Every column of ``Ops`` is a column here;
function, node and error are dictionaries, what is unknown is null, and a completion that never came is null.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from outlast.errors import HistoryError
from outlast.files import atomic_path
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
    columns: dict[str, pa.Array] = {name: pa.array(getattr(ops, name)) for name in _PLAIN}
    for name, absent in _NULLABLE.items():
        column = getattr(ops, name)
        columns[name] = pa.array(column, mask=column == absent)
    for name in _NAMED:
        codes, names = getattr(ops, name), list(getattr(ops, f"{name}_names"))
        columns[name] = pa.DictionaryArray.from_arrays(
            pa.array(codes, mask=codes < 0), pa.array(names, pa.string())
        )
    columns["payload"] = (
        pa.nulls(len(ops), pa.string()) if ops.payload is None else pa.array(ops.payload, pa.string())
    )
    batch = pa.record_batch(columns)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    try:
        with (
            atomic_path(path) as new,
            pa.OSFile(str(new), "wb") as sink,
            pa.ipc.new_file(sink, batch.schema, options=options) as writer,
        ):
            for start in range(0, max(1, len(ops)), _BATCH_OPS):  # an empty one too: it holds the names
                writer.write_batch(batch.slice(start, _BATCH_OPS))
    except OSError as error:
        raise HistoryError(f"cannot be written: {error}", file=str(path)) from error


def load_ops(path: Path) -> Ops:
    """Return the ops of a file that ``write_ops`` wrote. Raises HistoryError naming the file."""
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            table = reader.read_all().combine_chunks()
        return _ops(table)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise HistoryError(f"cannot be read as stored ops: {error}", file=str(path)) from error


def _ops(table: pa.Table) -> Ops:
    columns: dict[str, Any] = {}  # numpy arrays; mypy cannot tell which field each of them fills
    names: dict[str, tuple[str, ...]] = {}
    for name, dtype in _PLAIN.items():
        columns[name] = table.column(name).chunk(0).to_numpy(zero_copy_only=False).astype(dtype)
    for name, absent in _NULLABLE.items():
        columns[name] = table.column(name).chunk(0).fill_null(absent).to_numpy(zero_copy_only=False).copy()
    for name, dtype in _NAMED.items():
        column = table.column(name).chunk(0)
        columns[name] = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(dtype)
        names[name] = tuple(column.dictionary.to_pylist())
    payload = table.column("payload").chunk(0)
    return Ops(
        **columns,
        f_names=names["f"],
        node_names=names["node"],
        error_names=names["error"],
        payload=None if payload.null_count == len(payload) else payload.to_pylist(),
    )
