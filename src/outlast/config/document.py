"""A document: what a person wrote, as plain values, with the place of each.

Reads YAML 1.2, JSON and TOML under limits, so that no file, however odd, costs much or raises anything
but ConfigError.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path as FilePath

from pydantic import JsonValue

from outlast.config.formats.base import DEPTH_MAX, TOO_LARGE, Lines, Path, ReadError
from outlast.config.formats.json import parse_json
from outlast.config.formats.toml import parse_toml
from outlast.config.formats.yaml import parse_yaml
from outlast.errors import ConfigError

BYTES_MAX = 256 * 1024
"""Size of a document. Real ones have a few KB; the YAML parser needs seconds for more than this."""

VALUES_MAX = 20_000
"""Values in a document once its aliases are unfolded."""

_Parser = Callable[[str], tuple[object, Lines]]
_BY_SUFFIX: dict[str, _Parser] = {
    ".yaml": parse_yaml,
    ".yml": parse_yaml,
    ".json": parse_json,
    ".toml": parse_toml,
}
_TOML_START = re.compile(r"\s*(\[\[?[^\[\],{}]+\]\]?|[A-Za-z0-9_.\"'-]+\s*=.*)\s*(#.*)?")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written. file: a path, ``preset NAME`` or ``--set …``. line: 1-based, or None."""

    file: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping that a person wrote. places: where each path was; one that is missing is at its parent's."""

    data: Mapping[str, JsonValue]
    places: Mapping[Path, Place]

    def place(self, path: Path) -> Place:
        """Return where the value at a path, or else its nearest parent, was written."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places[path]

    def error(self, message: str, path: Path = (), *, hint: str | None = None) -> ConfigError:
        """Return the error that says what is wrong at a path: names the file, the dotted key and the line."""
        place = self.place(path)
        return ConfigError(
            message, file=place.file, key=dotted(path)[:200] or None, line=place.line, hint=hint
        )

    def with_value(self, path: Path, value: JsonValue, place: Place) -> Document:
        """Return this document with another value at a path. Missing mappings on the way are made.

        Raises ConfigError when the path leads through something that is neither mapping nor list.
        """
        data = _put(self, dict(self.data), path, 0, value, place)
        assert isinstance(data, dict)
        places = {known: at for known, at in self.places.items() if known[: len(path)] != path}
        for depth in range(1, len(path)):
            places.setdefault(path[:depth], place)  # a mapping made on the way was written by the same hand
        return replace(self, data=data, places={**places, path: place})


def dotted(path: Path) -> str:
    """Return a path the way a person writes it after --set: ``nodes.0.name``."""
    return ".".join(f'"{part}"' if isinstance(part, str) and "." in part else str(part) for part in path)


def did_you_mean(word: str, known: list[str] | tuple[str, ...]) -> str | None:
    """Return a hint that names the closest known word, or all of them when none is close; None for none."""
    if close := get_close_matches(word, known, n=1, cutoff=0.6):
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(known)}" if known else None


def read_document(path: FilePath) -> Document:
    """Return the document in a file; the suffix, or else its first lines, tell the format.

    Raises ConfigError when there is no such file, or it cannot be read, or holds no mapping.
    """
    return parse_document(read_text(path), file=str(path), suffix=path.suffix)


def parse_document(text: str, *, file: str, suffix: str = "") -> Document:
    """Return the document that a text holds. file: its name for errors. Raises ConfigError."""
    lines: Lines = {}
    try:
        value, lines = _parser(text, suffix.lower())(text)
        plain = _Plain(lines).value(value, ())
    except ReadError as error:
        raise ConfigError(error.message, file=file, line=error.line) from error
    if plain is None:
        raise ConfigError("is empty", file=file, hint="outlast ls presets lists what to start from")
    if not isinstance(plain, dict):
        raise ConfigError(f"must be a mapping of settings, got {kind_of(plain)}", file=file, line=1)
    return Document(plain, {(): Place(file), **{path: Place(file, line) for path, line in lines.items()}})


def parse_value(text: str, *, place: str) -> JsonValue:
    """Return a value given on a command line, read as YAML: ``5s``, ``[a, b]``. Raises ConfigError."""
    try:
        value, lines = parse_yaml(text)
        return _Plain(lines).value(value, ())
    except ReadError as error:
        raise ConfigError(
            error.message, file=place, hint="quote a value that contains characters special to YAML"
        ) from error


def read_text(path: FilePath) -> str:
    """Return the text of a small file. Raises ConfigError for what is no readable, bounded UTF-8 text."""
    file = str(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a FIFO would block, a device may never end
            kind = "a directory" if path.is_dir() else "not a regular file"
            raise ConfigError(f"is {kind}", file=file, hint="name a YAML, JSON or TOML file")
        with path.open("rb") as opened:
            content = opened.read(BYTES_MAX + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"cannot be read: {reason}", file=repr(file) if "\0" in file else file) from error
    if len(content) > BYTES_MAX:
        raise ConfigError(f"is larger than {BYTES_MAX // 1024} KiB", file=file)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError("is not UTF-8 text", file=file, line=line) from error


def kind_of(value: object) -> str:
    """Return what a value is, in a person's words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"{value}".lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value[:40]!r}" + ("…" if len(value) > 40 else "")
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
    return f"a {type(value).__name__}"


def _parser(text: str, suffix: str) -> _Parser:
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    meant = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    first = next(meant, "")
    if first.lstrip().startswith("{"):
        return parse_json
    return parse_toml if _TOML_START.fullmatch(first) else parse_yaml


class _Plain:
    """Copies a parsed value into JSON values, unfolding aliases, and refuses what JSON cannot say."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._left = VALUES_MAX

    def value(self, value: object, path: Path) -> JsonValue:
        self._left -= 1
        if self._left < 0:
            raise ReadError(f"holds more than {VALUES_MAX} values")
        if len(path) > DEPTH_MAX:
            raise self._error(f"is nested deeper than {DEPTH_MAX} levels", path)
        match value:
            case None | bool():
                return value
            case int() if not -(2**63) <= value < 2**64:
                raise self._error(TOO_LARGE, path)
            case float() if not math.isfinite(value):
                raise self._error("is no finite number", path)
            case int() | float():
                return value
            case str():
                return self._text(value, path)
            case dt.datetime() | dt.date() | dt.time():
                return value.isoformat()
            case list():
                return [self.value(item, (*path, index)) for index, item in enumerate(value)]
            case dict():
                return {self._text(key, path): self.value(item, (*path, key)) for key, item in value.items()}
        raise self._error(f"a {type(value).__name__} has no place here", path)

    def _text(self, text: str, path: Path) -> str:
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise self._error("holds a character that is no text", path)
        return text

    def _error(self, message: str, path: Path) -> ReadError:
        while path and path not in self._lines:
            path = path[:-1]
        return ReadError(message, self._lines.get(path))


def _put(
    document: Document, current: JsonValue, path: Path, depth: int, value: JsonValue, place: Place
) -> JsonValue:
    """Return a copy of current in which path[depth:] holds value."""
    if depth == len(path):
        return value
    part = path[depth]
    if current is None:
        current = {}
    if isinstance(current, dict):
        inner = _put(document, current.get(str(part)), path, depth + 1, value, place)
        return {**current, str(part): inner}
    if isinstance(current, list):
        if not str(part).isdecimal() or not int(part) < len(current):
            message = f"is a list of {len(current)}; {part} is no index of it"
            raise ConfigError(message, file=place.file, key=dotted(path[:depth]))
        inner = _put(document, current[int(part)], path, depth + 1, value, place)
        return [*current[: int(part)], inner, *current[int(part) + 1 :]]
    message = f"is {kind_of(current)}, so it has no {part}"
    raise ConfigError(message, file=place.file, key=dotted(path[:depth]))
