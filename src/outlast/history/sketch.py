"""Writes small histories down as text: for tests, documentation and a question on a mailing list.

    0 invoke write 1
    1 does read 1          # invoked and acknowledged with nothing between
    0 ok
    2 maybe write 3        # invoked, and its end is unknown
    3 fails write 4

One event a line: process, what happens, function, value as JSON. ``ok``, ``fail`` and ``info`` complete what
the process has open; a function and value may be given again, and for a read the value is what it saw.
"""

from __future__ import annotations

import json
from typing import Any, Final

from outlast.errors import HistoryError
from outlast.history.formats.events import EventPairer
from outlast.history.op import Ops, Outcome

_ENDS: Final = {"ok": Outcome.OK, "fail": Outcome.FAIL, "info": Outcome.INFO}
_WHOLE: Final = {"does": Outcome.OK, "fails": Outcome.FAIL, "maybe": Outcome.INFO}


def sketch(text: str) -> Ops:
    """Return the ops of a sketch. Raises HistoryError, naming the line, for one that makes no sense."""
    pairer = EventPairer()
    asked: dict[int, tuple[str, Any]] = {}
    for line, written in enumerate(text.splitlines(), 1):
        fields = written.split("#")[0].split(maxsplit=3)
        if not fields:
            continue
        try:
            process, event = int(fields[0]), fields[1]
            key, value = _value(fields[3] if len(fields) > 3 else None)
        except (ValueError, IndexError):
            raise HistoryError(f"no event: {written.strip()!r}", line=line) from None
        f = fields[2] if len(fields) > 2 else asked.get(process, ("", None))[0]
        if event == "invoke" or event in _WHOLE:
            asked[process] = (f, value)
            pairer.invoke(process, f, key, value, line=line)
        if event in _ENDS or event in _WHOLE:
            seen = value if len(fields) > 3 else asked.get(process, ("", None))[1]
            pairer.complete(process, (_ENDS | _WHOLE)[event], seen, f=f, line=line)
        elif event != "invoke":
            raise HistoryError(f"nothing is called {event!r}", line=line)
    return pairer.ops()


def _value(text: str | None) -> tuple[Any, Any]:
    """Return (key, value) of ``x: 1`` or of ``1``."""
    if text is None:
        return None, None
    name, colon, rest = text.partition(": ")
    if colon and name.isidentifier():
        return name, json.loads(rest)
    return None, json.loads(text)
