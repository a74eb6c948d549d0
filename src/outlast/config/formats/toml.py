"""TOML, read by the standard library, with the lines of its keys found beside it.

tomllib keeps no positions, so a second, shallow pass looks for table headers and ``key =``. A multi-line text
that looks like TOML may mislead that pass; it then names a wrong line, never a wrong value.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter

from outlast.config.formats.base import DEPTH_MAX, INT_DIGITS_MAX, TOO_LARGE, Lines, Path, ReadError

_PART = r"(?:[A-Za-z0-9_-]++|\"[^\"\n]*\"|'[^'\n]*')"
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(?P<open>\[\[?)\s*(?P<key>{_DOTTED})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*(?P<key>{_DOTTED})\s*=")
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_PART}[ \t]*\.[ \t]*){{{DEPTH_MAX}}}")
_LONG_INT = re.compile(rf"(?<![0-9_.])[0-9][0-9_]{{{INT_DIGITS_MAX},}}")
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)$|\(at end of document\)$")


def parse_toml(text: str) -> tuple[object, Lines]:
    """Return the value of a TOML document and its keys' lines; None for an empty one. Raises ReadError."""
    # tomllib keeps each prefix of a dotted key: one of 100,000 parts would take 40 GB.
    if long := _LONG_KEY.search(text):
        line = text.count("\n", 0, long.start()) + 1
        raise ReadError(f"holds a dotted key of more than {DEPTH_MAX} parts", line)
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = _AT_LINE.search(message)
        line = int(found[1]) if found and found[1] else text.count("\n") + 1
        raise ReadError(f"is not TOML: {_AT_LINE.sub('', message).strip()}", line) from error
    except ValueError as error:  # an int of some thousand digits, a date that is none
        if long := _LONG_INT.search(text):
            raise ReadError(TOO_LARGE, text.count("\n", 0, long.start()) + 1) from error
        raise ReadError(f"is not TOML: {error}") from error
    except RecursionError as error:
        raise ReadError("is nested too deep") from error
    return value or None, _lines(text)


def _lines(text: str) -> Lines:
    lines: Lines = {}
    table: Path = ()
    items: Counter[Path] = Counter()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _keys(header["key"])
            if header["open"] == "[[":
                items[table] += 1
                table = (*table, items[table] - 1)
            lines.setdefault(table, number)
        elif assignment := _ASSIGNMENT.match(line):
            path = table
            for key in _keys(assignment["key"]):
                path = (*path, key)
                lines.setdefault(path, number)
    return lines


def _keys(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))
