"""Porcupine's two text formats: Jepsen's console log of etcd, and its key-value log.

As Porcupine reads them: in etcd logs a cas that *fails* was served and its comparison missed (it says
something about the register), a read of nil saw a register never written, and a timed-out op stays open. We
write the missed cas as an acknowledged cas of one value, ``[expected]``, and the read of nil as ``[null]``,
since a plain nil is Knossos' read of something unknown. Source: anishathalye/porcupine, porcupine_test.go.
"""

from __future__ import annotations

import re
from typing import Final

from outlast.errors import HistoryError
from outlast.history.formats.events import EventPairer
from outlast.history.op import Ops, Outcome

_ETCD_LINE: Final = re.compile(r"INFO\s+jepsen\.util\s+-\s+(?P<process>\S+)\s+:(?P<type>\S+)\s+(?P<rest>.*)")
_ETCD_OP: Final = re.compile(
    r":(?P<f>read|write|cas)\s+(?:(?P<nil>nil)|(?P<timeout>:timed-out)|(?P<value>\d+)|\[(?P<a>\d+)\s+(?P<b>\d+)\])\s*"
)
_KV_LINE: Final = re.compile(
    r"\s*\{:process (?P<process>\d+), :type :(?P<type>invoke|ok|fail|info), :f :(?P<f>get|put|append), "
    r':key "(?P<key>.*)", :value (?:nil|"(?P<value>.*)")\}\s*'
)
_TYPES: Final = {"ok": Outcome.OK, "fail": Outcome.FAIL, "info": Outcome.INFO}


def read_porcupine_etcd(text: str, file: str | None = None) -> Ops:
    """Return the ops of one cas-register from a console log of Jepsen's etcd test.

    Lines of other loggers and processes that are no number (the nemesis) are skipped. Raises HistoryError,
    naming the line, for an op that cannot be read: a file cut short ends so. O(length).
    """
    pairer = EventPairer(file)
    for number, line in _lines(text):
        match = _ETCD_LINE.match(line)
        if match is None:
            if not text.endswith("\n") and number == text.count("\n") + 1:
                raise HistoryError(f"the file is cut short at {line[:60]!r}", file=file, line=number)
            continue
        if not match["process"].isdigit():
            continue
        op = _ETCD_OP.fullmatch(match["rest"])
        kind = match["type"]
        if op is None or (kind != "invoke" and kind not in _TYPES):
            raise HistoryError(f"not an op of a cas-register: {line[:80]!r}", file=file, line=number)
        process, f = int(match["process"]), op["f"]
        if kind == "invoke":
            value = [int(op["a"]), int(op["b"])] if op["a"] else int(op["value"]) if op["value"] else None
            pairer.invoke(process, f, None, value, line=number)
        elif op["timeout"] or kind == "info":
            # A read that fails with a time-out says nothing; it may as well have happened.
            pairer.complete(process, Outcome.INFO, None, f=f, error="timed out", line=number)
        elif f == "cas":
            _complete_cas(pairer, process, kind, [int(op["a"]), int(op["b"])] if op["a"] else None, number)
        else:
            saw = int(op["value"]) if op["value"] else [None]
            pairer.complete(process, _TYPES[kind], saw, f=f, line=number)
    return pairer.ops()


def _complete_cas(pairer: EventPairer, process: int, kind: str, value: list[int] | None, line: int) -> None:
    if value is None:
        raise HistoryError("a cas without [expected new]", file=pairer.file, line=line)
    # [expected, new] of a hit, [expected] of a miss.
    pairer.complete(process, Outcome.OK, value if kind == "ok" else value[:1], f="cas", line=line)


def read_porcupine_kv(text: str, file: str | None = None) -> Ops:
    """Return the ops (get, put, append on string keys) of Porcupine's key-value log.

    A key is "" until it is written. Raises HistoryError, naming the line, for a line that is no op. O(length).
    """
    pairer = EventPairer(file)
    for number, line in _lines(text):
        match = _KV_LINE.fullmatch(line)
        if match is None:
            raise HistoryError(f"not an op of a key-value store: {line[:80]!r}", file=file, line=number)
        process, value = int(match["process"]), match["value"]
        if match["type"] == "invoke":
            pairer.invoke(process, match["f"], match["key"], value, line=number)
        else:
            pairer.complete(process, _TYPES[match["type"]], value, f=match["f"], line=number)
    return pairer.ops()


def _lines(text: str) -> list[tuple[int, str]]:
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
