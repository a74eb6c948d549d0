"""The events of Jepsen's histories, however they were written down, become ops.

As their authors treat them: processes named by keywords (nemeses, loggers) are no clients and go unseen; a
client's ``:info`` without an open op is a remark; an op that ends ``:info`` may take effect at any later
time, and so may one that never ends. An event without any :process belongs to one nameless client (Elle's
paper prints histories so). Completions alone make a history too, as in Elle: each op then began, for all that
is known, when its process had ended the one before it. Sources: jepsen.history client-op?, knossos.history,
knossos.cli read-history.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, Final

from outlast.errors import HistoryError
from outlast.history.formats.edn import Keyword
from outlast.history.formats.events import NAMELESS, EventPairer
from outlast.history.op import Ops, Outcome

REBALANCED: Final = "rebalanced"
"""The error of an op of a Kafka test that was answered with a :rebalance-log: what it polled need not be in order."""
_OUTCOMES: Final = {":ok": Outcome.OK, ":fail": Outcome.FAIL, ":info": Outcome.INFO}


def event_ops(
    events: Iterable[tuple[Any, int]], file: str | None, line_of: Callable[[int], int] = int
) -> Ops:
    """Return the client ops of events, each a map as EDN reads it, with its place.

    line_of: the line of a place. Raises HistoryError, naming the line, for an event without a type, a completion
    without invocation, and two ops open on one process. Events are taken one by one. O(n).
    """
    pairer = EventPairer(file)
    source = iter(events)
    held = []
    following: _Following | None = None
    for event in source:
        held.append(event)
        if _is_invocation(event[0]):
            break
    else:
        following = _completions(held)
        for process in following:
            _invoke_next(pairer, following, process)
    for form, place in chain(held, source):
        try:
            _take(pairer, form, following)
        except HistoryError as error:
            if error.line is not None:
                raise
            message = str(error).removeprefix(f"{file}: ")
            raise HistoryError(message, file=file, line=line_of(place), hint=error.hint) from None
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


def _take(pairer: EventPairer, form: Any, following: _Following | None) -> None:
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
        if error is None and form.get(":rebalance-log"):
            error = REBALANCED
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
