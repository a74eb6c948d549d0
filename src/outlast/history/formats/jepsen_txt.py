"""Jepsen's ``history.txt``: process, type, function, value and perhaps an error, tabs between, one event a line.

Each field but the error is EDN. Source: jepsen.util op->str, print-history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from outlast.errors import HistoryError
from outlast.history.formats.edn import read_forms
from outlast.history.formats.jepsen_events import event_ops
from outlast.history.op import Ops


def read_jepsen_txt(lines: Iterable[str], file: str | None = None) -> Ops:
    """Return the client ops of a history.txt. Raises HistoryError, naming the line. O(length)."""
    return event_ops(_events(lines, file), file)


def _events(lines: Iterable[str], file: str | None) -> Iterator[tuple[dict[str, Any], int]]:
    read: dict[str, Any] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields = line.rstrip("\r\n").split("\t", 4)
        if len(fields) < 4:
            raise HistoryError(
                f"not process, type, function and value with tabs between: {line.strip()[:60]!r}",
                file=file,
                line=number,
            )
        event: dict[str, Any] = {}
        for name, text in zip((":process", ":type", ":f"), fields, strict=False):
            if text not in read:
                read[text] = _form(text, file, number)
            event[name] = read[text]
        event[":value"] = _form(fields[3], file, number)
        if len(fields) > 4:
            event[":error"] = fields[4].strip()
        yield event, number


def _form(text: str, file: str | None, line: int) -> Any:
    """Return the one form of a field."""
    try:
        forms = read_forms(f"[{text}\n]")  # in brackets, or the items of a lone vector would be forms
    except HistoryError as error:
        message = str(error).partition(": ")[2]
        raise HistoryError(f"{message}: {text.strip()[:60]!r}", file=file, line=line) from None
    if len(forms) != 1:
        raise HistoryError(f"not one value: {text.strip()[:60]!r}", file=file, line=line)
    return forms[0][0]
