"""Jepsen's histories: one EDN map an event, bare, in [ ] or in ( ), with comments.

As their authors treat them: processes named by keywords (nemeses, loggers) are no clients and go unseen; a
client's ``:info`` without an open op is a remark; an op that ends ``:info`` may take effect at any later
time, and so may one that never ends. An event without any :process belongs to one nameless client (Elle's
paper prints histories so). Completions alone make a history too, as in Elle: each op then began, for all that
is known, when its process had ended the one before it. Sources: jepsen.history client-op?, knossos.history,
knossos.cli read-history.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any, Final

from outlast.errors import HistoryError
from outlast.history.formats.edn import Keyword, line_of, read_forms
from outlast.history.formats.events import NAMELESS, EventPairer
from outlast.history.op import Ops, Outcome

_OUTCOMES: Final = {":ok": Outcome.OK, ":fail": Outcome.FAIL, ":info": Outcome.INFO}


def read_jepsen_edn(text: str, file: str | None = None) -> Ops:
    """Return the client ops of a Jepsen history.

    text: the whole file. Raises HistoryError, naming the line, for text that is cut short, an event without a
    type, a completion without invocation, and two ops open on one process. O(length).
    """
    pairer = EventPairer(file)
    forms = read_forms(text, file)
    following = None if any(_is_invocation(form) for form, _ in forms) else _completions(forms)
    for process in following or ():
        _invoke_next(pairer, following, process)
    for form, offset in forms:
        try:
            _event(pairer, form, following)
        except HistoryError as error:
            if error.line is not None:
                raise
            message = str(error).removeprefix(f"{file}: ")
            raise HistoryError(message, file=file, line=line_of(text, offset), hint=error.hint) from None
    return pairer.ops()


_Following = dict[Any, deque[dict[str, Any]]]
"""The completions of each process that are still to come, where a history has no invocations."""


def _is_client(event: dict[str, Any]) -> bool:
    return not isinstance(event.get(":process", NAMELESS), Keyword)


def _is_invocation(form: Any) -> bool:
    return isinstance(form, dict) and form.get(":type") == ":invoke" and _is_client(form)


def _completions(forms: list[tuple[Any, int]]) -> _Following:
    following: _Following = defaultdict(deque)
    for form, _ in forms:
        if isinstance(form, dict) and form.get(":type") in _OUTCOMES and _is_client(form):
            following[form.get(":process", NAMELESS)].append(form)
    return following


def _invoke_next(pairer: EventPairer, following: _Following | None, process: Any) -> None:
    if following is not None and following[process]:
        event = following[process].popleft()
        pairer.invoke(process, _function(event), event.get(":key"), event.get(":value"))


def _function(event: dict[str, Any]) -> str:
    f = event.get(":f")
    return "txn" if f is None else str(f).removeprefix(":")


def _event(pairer: EventPairer, form: Any, following: _Following | None) -> None:
    if not isinstance(form, dict):
        shown = f"{form!r:.60}" if isinstance(form, str | int | float) else f"a {type(form).__name__}"
        raise HistoryError(f"an event is a map, this is {shown}", file=pairer.file)
    process, kind = form.get(":process", NAMELESS), form.get(":type")
    if not _is_client(form):
        return
    time_ns, f = form.get(":time"), _function(form)
    time_ns = time_ns if type(time_ns) is int else None
    if kind == ":invoke":
        pairer.invoke(process, f, form.get(":key"), form.get(":value"), time_ns=time_ns)
    elif kind in _OUTCOMES:
        if kind == ":info" and not pairer.is_open(process):
            return
        error = form.get(":error")
        pairer.complete(
            process,
            _OUTCOMES[kind],
            form.get(":value"),
            f=f,
            time_ns=time_ns,
            error=None if error is None else str(error),
        )
        _invoke_next(pairer, following, process)
    else:
        shown = "no :type" if kind is None else f"the :type {str(kind).removeprefix(':')}"
        raise HistoryError(f"an event with {shown}; it is :invoke, :ok, :fail or :info", file=pairer.file)
