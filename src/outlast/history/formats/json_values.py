"""Reads JSON values one by one: the items of one array, or values one after another, in a file of any length."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, TextIO

from outlast.errors import HistoryError

_CHUNK: Final = 1 << 20
_NEAR: Final = 16
"""An error this close to the end of what was read may be the end's own: a literal, number or escape cut in two."""


def json_values(stream: TextIO, file: str | None) -> Iterator[tuple[Any, int]]:
    """Yield each value with the line it begins on. Raises HistoryError, naming the line, for what is no JSON.

    Holds one chunk and one value at a time. O(length).
    """
    text = _Text(stream, file)
    if text.skip("") == "[":
        text.advance(1)
        while (following := text.skip(",")) != "]":
            if not following:
                raise text.error("the array is never closed: the file is cut short")
            yield text.value()
        text.advance(1)
        if text.skip(""):
            raise text.error("text after the end of the array")
        return
    while text.skip(","):
        yield text.value()


class _Text:
    """What was read and not yet taken. line: of the character at ``at``."""

    def __init__(self, stream: TextIO, file: str | None) -> None:
        self.stream, self.file = stream, file
        self.buffer, self.at, self.line = "", 0, 1
        self.size = _CHUNK
        self.decode = json.JSONDecoder().raw_decode

    def error(self, message: str, offset: int | None = None) -> HistoryError:
        """Return an error at an offset of the buffer, by default here."""
        line = self.line if offset is None else self.line + self.buffer.count("\n", self.at, offset)
        return HistoryError(message, file=self.file, line=line)

    def more(self) -> bool:
        """Read on; False at the end."""
        read = self.stream.read(self.size)
        self.buffer, self.at = self.buffer[self.at :] + read, 0
        return bool(read)

    def advance(self, count: int) -> None:
        """Take some characters."""
        self.line += self.buffer.count("\n", self.at, self.at + count)
        self.at += count

    def skip(self, besides: str) -> str:
        """Take white space, and these characters; return the one that follows, "" at the end."""
        passed = " \t\r\n" + besides
        while True:
            at = self.at
            while at < len(self.buffer) and self.buffer[at] in passed:
                at += 1
            self.advance(at - self.at)
            if at < len(self.buffer):
                return self.buffer[at]
            if not self.more():
                return ""

    def value(self) -> tuple[Any, int]:
        """Take a value; return it and its line."""
        self.size = _CHUNK
        while True:
            try:
                value, end = self.decode(self.buffer, self.at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or len(self.buffer) - error.pos < _NEAR
                self.size *= 2  # a long value is decoded again as often as its length doubles
                if cut and self.more():
                    continue
                raise self.error(f"no JSON: {error.msg}", error.pos) from None
            line = self.line
            self.advance(end - self.at)
            return value, line
