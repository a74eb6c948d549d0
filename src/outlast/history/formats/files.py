"""Opens histories of others: text, plain or gzipped, one buffer at a time; folders and binary files by bytes."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, TextIO, cast

from outlast.errors import HistoryError

_GZIP: Final = b"\x1f\x8b"


@contextmanager
def unreadable(file: str | None) -> Iterator[None]:
    """Raise HistoryError, naming the file, for what an operating system or a codec says of it within the block."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise HistoryError(f"not text: {error.reason} at byte {error.start}", file=file) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise HistoryError(f"cut short, or no gzip file: {error}", file=file) from None
    except RecursionError:
        raise HistoryError("is nested too deep", file=file) from None
    except OSError as error:
        raise HistoryError(f"cannot be read: {error.strerror or error}", file=file) from None


def open_bytes(path: Path) -> BinaryIO:
    """Return the bytes of a file, of what a gzipped one holds. To be used within ``unreadable``."""
    with path.open("rb") as head:
        packed = head.read(2) == _GZIP
    return cast("BinaryIO", gzip.open(path)) if packed else path.open("rb")


def open_text(path: Path) -> TextIO:
    """Return the text of a file, of what a gzipped one holds. To be used within ``unreadable``."""
    return io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig")
