"""A reader of EDN, the notation of Clojure's histories.

Clojure's values become Python's: nil None, keywords ``Keyword`` with the colon, vectors and lists list, maps
dict, sets frozenset, or a list where Python would take two members for one (true and 1). Tags
(``#jepsen.history.Op{…}``) are dropped and their value kept. Source: the EDN specification, github.com/edn-format/edn.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Final

from outlast.errors import HistoryError

_TOKEN: Final = re.compile(
    r"""(?:[\s,]+ | ;[^\n]*)*+(       # commas are white space
        [^\s,()\[\]{}"\\;\#^]+      # numbers, keywords, symbols: most of any history
      | [()\[\]{}]
      | "(?:[^"\\]|\\.)*"
      | \#\{ | \#_ | \#\#\w+ | \#[^\s,()\[\]{}"\\;]+ | \^
      | \\(?:newline|space|tab|return|formfeed|backspace|u[0-9A-Fa-f]{4}|.)
      | [^\s,]                      # anything else is an error, with a place
      | \Z
      )
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSER: Final = {"(": ")", "[": "]", "{": "}", "#{": "}"}
_CONSTANTS: Final[dict[str, Any]] = {
    "nil": None,
    "true": True,
    "false": False,
    "##Inf": float("inf"),
    "##-Inf": float("-inf"),
    "##NaN": float("nan"),
}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_CHARACTERS: Final = {
    "newline": "\n",
    "space": " ",
    "tab": "\t",
    "return": "\r",
    "formfeed": "\f",
    "backspace": "\b",
}
_DISCARD: Final = object()
"""Stands in a collection before a form that ``#_`` or ``^`` drops."""


class Keyword(str):
    """An EDN keyword, with its colon, or a symbol, with a quote before it: never equal to a string."""

    __slots__ = ()


_MARKS: Final = (":", "'", '"')
"""What keywords, symbols and quoted strings begin with: a string that begins so keeps its quotes."""

DEPTH_MAX: Final = 100
"""Levels of brackets; a transaction in a history has about five. What walks values does so recursively."""


def line_of(text: str, offset: int) -> int:
    """Return the 1-based line that holds a character."""
    return text.count("\n", 0, offset) + 1


def _unescape(match: re.Match[str]) -> str:
    body = match[1]
    return chr(int(body[1:], 16)) if len(body) == 5 else _ESCAPES.get(body, body)


def _atom(token: str) -> Any:
    """Return the value of a token that is no collection and no string."""
    if token in _CONSTANTS:
        return _CONSTANTS[token]
    if token[0] == ":":
        return Keyword(token)
    if token[0] == "\\":
        name = token[1:]
        return chr(int(name[1:], 16)) if len(name) == 5 and name[0] == "u" else _CHARACTERS.get(name, name)
    if token[0] in "0123456789+-." and len(token.lstrip("+-")) > 0:
        number = token.rstrip("NM")
        for kind in (int, float, Fraction):
            try:
                return kind(number) if kind is not Fraction else float(Fraction(number))
            except (ValueError, ZeroDivisionError):
                continue
    return Keyword("'" + token)


def _hashable(value: Any) -> Any:
    """Return a value that can be a key of a dict or a member of a set."""
    if isinstance(value, list):
        return tuple(_hashable(item) for item in value)
    if isinstance(value, dict):
        return frozenset((key, _hashable(item)) for key, item in value.items())
    return value


def _close(opener: str, items: list[Any], text: str, offset: int, file: str | None) -> Any:
    """Return the collection that a closing bracket completes."""
    if items and items[-1] is _DISCARD:
        raise HistoryError("#_ or ^ with nothing after it", file=file, line=line_of(text, offset))
    if opener in "([":
        return items
    if opener == "#{":
        members = frozenset(_hashable(item) for item in items)
        return members if len(members) == len(items) else items
    if len(items) % 2:
        raise HistoryError("a map with a key but no value", file=file, line=line_of(text, offset))
    return {_hashable(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _string(token: str, text: str, offset: int, file: str | None) -> str:
    """Return the text that a token in quotes stands for."""
    if len(token) == 1:
        raise HistoryError("a string that never ends", file=file, line=line_of(text, offset))
    body = token[1:-1]
    if "\\" in body:
        body = re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", _unescape, body, flags=re.DOTALL)
    return f'"{body}"' if body[:1] in _MARKS else body


def _misplaced(
    closer: str, opener: str, text: str, offsets: tuple[int, int], file: str | None
) -> HistoryError:
    """Return the error of a bracket that closes nothing or another kind of bracket. offsets: opener's, closer's."""
    line = line_of(text, offsets[1])
    if not opener:
        return HistoryError(f"{closer} closes nothing", file=file, line=line)
    opened = f"the {opener} of line {line_of(text, offsets[0])}"
    return HistoryError(f"{closer} cannot close {opened}", file=file, line=line)


def read_forms(text: str, file: str | None = None) -> list[tuple[Any, int]]:
    """Return the forms of an EDN text, each with the offset at which it begins.

    A text that is one vector or list gives that collection's items, as Knossos reads histories. Raises
    HistoryError, naming the line, when a bracket is never closed, closed by another, or a character makes no
    sense. O(length).
    """
    forms: list[Any] = []
    starts: list[int] = []
    inner_starts: list[int] = []
    stack: list[tuple[str, list[Any], int]] = []
    items, depth = forms, 0
    atoms: dict[str, Any] = {}
    for match in _TOKEN.finditer(text):
        token = match[1]
        if not token:
            break
        first = token[0]
        if token in _CLOSER:
            start = match.start(1)
            if depth == DEPTH_MAX:
                line = line_of(text, start)
                raise HistoryError(f"is nested deeper than {DEPTH_MAX} levels", file=file, line=line)
            stack.append((token, items, start))
            items = []
            if depth == 0:
                inner_starts = []
            depth += 1
            continue
        start = match.start(1)
        if token in (")", "]", "}"):
            opener, outer, start = stack.pop() if stack else ("", forms, start)
            if _CLOSER.get(opener) != token:
                raise _misplaced(token, opener, text, (start, match.start(1)), file)
            value = _close(opener, items, text, start, file)
            items = outer
            depth -= 1
        elif first == '"':
            value = _string(token, text, start, file)
        elif token in ("#_", "^"):
            items.append(_DISCARD)
            continue
        elif first == "#" and token[1:2] != "#":
            if len(token) == 1:
                raise HistoryError("a # with nothing after it", file=file, line=line_of(text, start))
            continue
        elif first == "\\" and len(token) == 1:
            raise HistoryError("a lone backslash", file=file, line=line_of(text, start))
        else:
            try:
                value = atoms[token]
            except KeyError:
                value = atoms[token] = _atom(token)
        if items and items[-1] is _DISCARD:
            items.pop()
            continue
        items.append(value)
        if depth == 0:
            starts.append(start)
        elif depth == 1:
            inner_starts.append(start)
    if stack:
        opener, _, start = stack[-1]
        line = line_of(text, start)
        raise HistoryError(f"the {opener} is never closed: the file is cut short", file=file, line=line)
    if forms and forms[-1] is _DISCARD:
        raise HistoryError("#_ or ^ with nothing after it", file=file, line=line_of(text, len(text)))
    if len(forms) == 1 and isinstance(forms[0], list):
        return list(zip(forms[0], inner_starts, strict=True))
    return list(zip(forms, starts, strict=True))
