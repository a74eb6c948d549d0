"""Takes numbers off a binary file, and says at which byte it went wrong."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

from outlast.errors import HistoryError


class Bytes:
    """A binary file that is read from its beginning. at: bytes taken so far."""

    def __init__(self, stream: BinaryIO, file: str | None) -> None:
        self.stream, self.file, self.at = stream, file, 0

    def error(self, message: str) -> HistoryError:
        """Return an error at this byte."""
        return HistoryError(f"{message}, at byte {self.at}", file=self.file)

    def take(self, size: int, what: str) -> bytes:
        """Return the next bytes. Raises HistoryError when there are fewer."""
        taken = self.stream.read(size)
        if len(taken) < size:
            raise self.error(f"cut short within {what}")
        self.at += size
        return taken

    def numbers(self, layout: struct.Struct, what: str) -> tuple[Any, ...]:
        """Return the next numbers, as struct names them."""
        return layout.unpack(self.take(layout.size, what))

    def take_one(self) -> bytes:
        """Return the next byte, or b"" at the end."""
        taken = self.stream.read(1)
        self.at += len(taken)
        return taken
