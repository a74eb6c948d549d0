"""Guesses what format a history has, from its beginning."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from outlast.errors import HistoryError
from outlast.history.formats import cobra, dbcop, etcd_robustness
from outlast.history.formats.files import open_bytes, unreadable

_HEAD: Final = 1 << 16
_BINCODE: Final = b"\0" * 4
"""Counts of eight bytes: those of any real history have four zeroes at their end."""
_RECORDS: Final = (b"R", b"W", b"C")
"""What may follow the beginning of a transaction in Cobra's logs."""
_LINES: Final = (
    ("plume", re.compile(r"\s*[rw]\(\s*-?\d+\s*,\s*-?\d+\s*,\s*-?\d+\s*,\s*-?\d+\s*\)\s*")),
    (
        "porcupine-kv",
        re.compile(r'\s*\{:process \d+, :type :\w+, :f :(get|put|append), :key ".*", :value .*\}\s*'),
    ),
    ("porcupine-etcd", re.compile(r"INFO\s+jepsen\.\S+\s+-\s.*")),
    ("jepsen-txt", re.compile(r"[^\t]+\t:\w+\t:\S+\t.*")),
)
_EDN: Final = re.compile(r"[\[({#;:\s,]")


def guess_format(path: Path) -> str:
    """Return the format of a file or folder. Raises HistoryError for one that looks like none that we know."""
    with unreadable(str(path)):
        if path.is_dir():
            found = _of_folder(path)
        else:
            with open_bytes(path) as stream:
                found = guess_of(stream.read(_HEAD), path.name)
    if found is None:
        raise HistoryError(
            "looks like no history that we know", file=str(path), hint="--format says what it is"
        )
    return found


def guess_of(head: bytes, name: str = "") -> str | None:
    """Return the format that a file begins like, None when it is none that we know. name: of the file."""
    if head[:1] == b"S" and b"\0" in head[:9] and head[9:10] in _RECORDS and name != dbcop.FILE:
        return "cobra"
    if len(head) >= 8 and (name == dbcop.FILE or head[4:8] == _BINCODE):
        return "dbcop"
    text = head.decode("utf-8", errors="replace").removeprefix("\ufeff")
    line = next((line for line in text.splitlines() if line.strip()), "")
    for format_, pattern in _LINES:
        if pattern.fullmatch(line):
            return format_
    begin = text.lstrip(" \t\r\n[")
    if begin.startswith('{"') or (begin[:1] == "{" and begin[1:].lstrip()[:1] == '"'):
        return _of_object(begin)
    if name.endswith((".json", ".jsonl")):
        return "json"
    if not text.strip() or _EDN.match(text):
        return "jepsen-edn"
    return None


def _of_object(begin: str) -> str:
    try:
        first, _ = json.JSONDecoder().raw_decode(begin)
    except ValueError:  # longer than what we look at, or cut short
        first = {}
    if "Input" in first or ('"Input"' in begin and '"ClientId"' in begin):
        return "etcd-robustness"
    return "dbcop" if '"variable"' in begin and '"params"' in begin else "json"


def _of_folder(path: Path) -> str | None:
    if (path / "run.json").is_file():
        return "outlast"
    if (path / dbcop.FILE).is_file():
        return "dbcop"
    if next(path.glob(f"*{cobra.SUFFIX}"), None) is not None:
        return "cobra"
    return "etcd-robustness" if next(path.glob(f"**/{etcd_robustness.FILE}"), None) is not None else None
