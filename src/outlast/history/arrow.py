"""Arrow arrays from numpy's and back, with nulls: what nanoarrow and arro3 leave to their users.

Two small libraries do what pyarrow would (docs/adr/what-an-install-brings.md): nanoarrow makes arrays and writes and
reads streams, arro3 the compressed files and CSV. They hand arrays to each other through Arrow's C data interface.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Final

import nanoarrow as na
import numpy as np
import numpy.typing as npt
from arro3.core import Array, DataType, RecordBatch
from nanoarrow.c_array import CArray, CArrayView

Column = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

TYPES: Final = {
    dtype: na.c_schema(kind)
    for dtype, kind in {
        "int16": na.int16(),
        "int32": na.int32(),
        "int64": na.int64(),
        "uint8": na.uint8(),
        "float64": na.float64(),
    }.items()
}
"""The types of columns that we store, by the name of numpy's."""

TEXT: Final = na.c_schema(na.string())


def numbers(column: Column, absent: Mask | None = None) -> CArray:
    """Return an array that shares a column's memory. absent: where it is null; None: nowhere."""
    validity = None if absent is None else np.packbits(~absent, bitorder="little")
    buffers = [validity, np.ascontiguousarray(column)]
    nulls = 0 if absent is None else -1  # −1: to be counted
    return na.c_array_from_buffers(TYPES[column.dtype.name], len(column), buffers, null_count=nulls)


def texts(values: Iterable[str | bytes | None]) -> CArray:
    """Return an array of texts, or of what encodes them; None is null. O(characters).

    Raises OverflowError when they come to more than 2 GiB.
    """
    encoded = [value.encode() if isinstance(value, str) else value for value in values]
    sizes = np.fromiter(map(len, (value or b"" for value in encoded)), np.int64, len(encoded))
    valid = np.fromiter((value is not None for value in encoded), np.bool_, len(encoded))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise OverflowError(f"texts of {offsets[-1]} bytes are more than one Arrow array holds")
    data = b"".join(value for value in encoded if value)
    buffers = [np.packbits(valid, bitorder="little"), offsets.astype(np.int32), data]
    return na.c_array_from_buffers(TEXT, len(encoded), buffers)


def null_texts(length: int) -> CArray:
    """Return an array of length texts that are all null."""
    buffers = [np.zeros((length + 7) // 8, np.uint8), np.zeros(length + 1, np.int32), b""]
    return na.c_array_from_buffers(TEXT, length, buffers, null_count=length)


def labels(codes: Column, names: tuple[str, ...]) -> Array:
    """Return a dictionary array: each code's name, null for a code below 0. The names keep their order."""
    values = Array.from_arrow(texts(names)) if names else Array([], DataType.string())
    # arro3 numbers names as it meets them, so each is shown to it once, in order, before the column's own
    shown = np.concatenate([np.arange(len(names), dtype=np.int32), codes.astype(np.int32)])
    plain = values.take(Array.from_arrow(numbers(shown, shown < 0)))
    coded = plain.cast(DataType.dictionary(DataType.int32(), DataType.string()))
    return coded.slice(len(names), len(codes))


def record_batch(columns: Mapping[str, CArray | Array]) -> RecordBatch:
    """Return columns of equal length as a batch."""
    return RecordBatch.from_arrays(
        [Array.from_arrow(column) for column in columns.values()], names=[*columns]
    )


def fields(batch: RecordBatch | CArray) -> dict[str, CArrayView]:
    """Return the columns of a batch by name; valid while the batch is."""
    struct = na.c_array(batch)
    view = struct.view()
    return {child.name: view.child(index) for index, child in enumerate(struct.schema.children)}


def column_of(view: CArrayView, absent: int | None = None) -> Column:
    """Return an array's numbers, or a dictionary array's codes. absent: stands for null, where there are any.

    Shares the array's memory when nothing is null.
    """
    values = np.asarray(view.buffer(1))[view.offset : view.offset + len(view)]
    valid = _valid(view)
    return values if valid is None or absent is None else np.where(valid, values, absent)


def texts_of(view: CArrayView) -> list[str | None]:
    """Return an array's texts, None for null. O(characters)."""
    ends = np.asarray(view.buffer(1))[view.offset : view.offset + len(view) + 1].tolist()
    data = bytes(view.buffer(2))
    valid = _valid(view)
    decoded: list[str | None] = [data[start:end].decode() for start, end in pairwise(ends)]
    return (
        decoded if valid is None else [t if v else None for t, v in zip(decoded, valid.tolist(), strict=True)]
    )


def all_null(view: CArrayView) -> bool:
    """Return whether an array holds nothing but nulls."""
    valid = _valid(view)
    return not len(view) or (valid is not None and not valid.any())


def _valid(view: CArrayView) -> Mask | None:
    bits = np.frombuffer(view.buffer(0), np.uint8)
    if not len(bits):
        return None
    return np.unpackbits(bits, bitorder="little")[view.offset : view.offset + len(view)].astype(np.bool_)
