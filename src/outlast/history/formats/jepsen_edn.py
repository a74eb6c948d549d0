"""Jepsen's histories: one EDN map an event, bare, in [ ] or in ( ), with comments.

As their authors treat them: only processes that are integers are clients (nemeses and loggers go unseen); a
client's ``:info`` without an open op is a remark; an op that ends ``:info`` may take effect at any later
time, and so may one that never ends. An event without any :process belongs to one nameless client (Elle's
paper prints histories so). Sources: jepsen.history client-op?, knossos.history, knossos.cli read-history.
"""

from __future__ import annotations

from typing import Any

from outlast.errors import HistoryError
from outlast.history.formats.edn import line_of, read_forms
from outlast.history.formats.events import EventPairer
from outlast.history.op import Ops, Outcome

_OUTCOMES = {"ok": Outcome.OK, "fail": Outcome.FAIL, "info": Outcome.INFO}
NAMELESS = None
"""The process of events that name none."""


def read_jepsen_edn(text: str, file: str | None = None) -> Ops:
    """Return the client ops of a Jepsen history.

    text: the whole file. Raises HistoryError, naming the line, for text that is cut short, an event without a
    type, a completion without invocation, and two ops open on one process. O(length).
    """
    pairer = EventPairer(file)
    for form, offset in read_forms(text, file):
        try:
            _event(pairer, form, None)
        except HistoryError as error:
            if error.line is not None:
                raise
            message = str(error).removeprefix(f"{file}: ")
            raise HistoryError(message, file=file, line=line_of(text, offset), hint=error.hint) from None
    return pairer.ops()


def _event(pairer: EventPairer, form: Any, line: int | None) -> None:
    if not isinstance(form, dict):
        shown = f"{form!r:.60}" if isinstance(form, str | int | float) else f"a {type(form).__name__}"
        raise HistoryError(f"an event is a map, this is {shown}", file=pairer.file, line=line)
    process, kind = form.get("process", NAMELESS), form.get("type")
    if process is not NAMELESS and type(process) is not int:
        return
    time_ns, f = form.get("time"), form.get("f")
    time_ns = time_ns if type(time_ns) is int else None
    f = "txn" if f is None else str(f)
    if kind == "invoke":
        pairer.invoke(process, f, form.get("key"), form.get("value"), time_ns=time_ns, line=line)
    elif kind in _OUTCOMES:
        if kind == "info" and not pairer.is_open(process):
            return
        error = form.get("error")
        pairer.complete(
            process,
            _OUTCOMES[kind],
            form.get("value"),
            f=f,
            time_ns=time_ns,
            error=None if error is None else str(error),
            line=line,
        )
    else:
        shown = "no :type" if kind is None else f"the :type {kind}"
        raise HistoryError(
            f"an event with {shown}; it is :invoke, :ok, :fail or :info", file=pairer.file, line=line
        )
