"""JSON with the line of each key.

The standard library reads the scalars; objects and arrays are walked here, since it keeps no positions and
takes the last of two equal keys. Source: RFC 8259.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right

from outlast.config.formats.base import DEPTH_MAX, INT_DIGITS_MAX, TOO_LARGE, Lines, Path, ReadError

_SPACE = re.compile(r"[ \t\n\r]*")


def parse_json(text: str) -> tuple[object, Lines]:
    """Return the value of a JSON document and its keys' lines; None for an empty one. Raises ReadError."""
    return _Reader(text).document()


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not a JSON number")


def _whole(digits: str) -> int:
    if len(digits) > INT_DIGITS_MAX:
        raise ReadError(TOO_LARGE)
    return int(digits)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [found.start() for found in re.finditer("\n", text)]
        self._decoder = json.JSONDecoder(parse_constant=_refuse, parse_int=_whole)
        self._lines: Lines = {}

    def document(self) -> tuple[object, Lines]:
        if not self._peek():
            return None, self._lines
        value = self._value(())
        if self._peek():
            raise self._error("has text after its end")
        return value, self._lines

    def _value(self, path: Path) -> object:
        if len(path) > DEPTH_MAX:
            raise self._error(f"is nested deeper than {DEPTH_MAX} levels")
        start = self._peek()
        if start == "{":
            return self._object(path)
        if start == "[":
            return self._array(path)
        return self._scalar()

    def _object(self, path: Path) -> dict[str, object]:
        mapping: dict[str, object] = {}
        self._at += 1
        while self._peek() != "}":
            if mapping:
                self._expect(",")
            if self._peek() != '"':
                raise self._error("a key in double quotes is missing here")
            line = self._line()
            key = str(self._scalar())
            if key in mapping:
                raise ReadError(f"the key {key[:40]!r} appears twice here", line)
            self._lines[(*path, key)] = line
            self._expect(":")
            mapping[key] = self._value((*path, key))
        self._at += 1
        return mapping

    def _array(self, path: Path) -> list[object]:
        items: list[object] = []
        self._at += 1
        while self._peek() != "]":
            if items:
                self._expect(",")
                self._peek()
            self._lines[(*path, len(items))] = self._line()
            items.append(self._value((*path, len(items))))
        self._at += 1
        return items

    def _scalar(self) -> object:
        try:
            value, self._at = self._decoder.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            self._at = error.pos
            raise self._error(f"is no JSON: {error.msg}") from error
        except ReadError as error:
            raise self._error(error.message) from error
        except ValueError as error:  # a constant refused above
            raise self._error(f"is no JSON: {error}") from error
        return value

    def _peek(self) -> str:
        """Skip white space; return the next character, or nothing at the end."""
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._text[self._at : self._at + 1]

    def _expect(self, character: str) -> None:
        if self._peek() != character:
            raise self._error(f"{character!r} is missing here")
        self._at += 1

    def _line(self) -> int:
        return bisect_right(self._newlines, self._at - 1) + 1

    def _error(self, message: str) -> ReadError:
        return ReadError(message, self._line())
