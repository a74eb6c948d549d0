"""What the readers share: paths into a document, the lines they were found on, and the one error."""

from __future__ import annotations

DEPTH_MAX = 32
"""Levels of nesting a reader follows. Ours need six; the limit keeps recursion far from Python's own."""

INT_DIGITS_MAX = 40
"""Digits of a whole number that a reader takes: whatever fits 64 bits has fewer, and int() refuses some thousands."""

TOO_LARGE = "is a number of more than 64 bits"

Path = tuple[str | int, ...]
"""Where a value sits in a document: keys and list indices from the top."""

Lines = dict[Path, int]
"""The 1-based line on which each key or list item begins. A path may be missing; its parent's line serves."""


class ReadError(Exception):
    """Text that is not what its format allows. line: 1-based, or None when the format gives none."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
