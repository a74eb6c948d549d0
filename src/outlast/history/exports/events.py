"""Jepsen's events: as EDN maps, and as the JSON objects that elle-cli takes for them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TextIO

from outlast.history.exports.rows import QUESTIONS, READS, events_of, function_at, value_at
from outlast.history.history import FaultRecord, History
from outlast.history.op import NONE, Ops, Outcome

_TYPES: Final = {Outcome.OK: "ok", Outcome.FAIL: "fail", Outcome.INFO: "info", Outcome.LOCAL: "info"}
_LOCAL: Final = "committed on the serving node alone"
_MOPS: Final = frozenset({"r", "w", "append", "read", "write", "send", "poll"})
_WORD: Final = re.compile(r"[:'][^\s,()\[\]{}\"\\;#^:'][^\s,()\[\]{}\"\\;#^]*")
_INTEGER: Final = re.compile(r"-?(0|[1-9]\d*)")

_Event = dict[str, Any]


def write_jepsen_edn(history: History, stream: TextIO) -> tuple[str, ...]:
    """Write a history as Jepsen's EDN, one map a line."""
    for event in _events(history):
        fields = (f":{name} {_edn_field(name, item)}" for name, item in event.items())
        stream.write("{" + ", ".join(fields) + "}\n")
    return _notes(history.ops)


def write_json(history: History, stream: TextIO) -> tuple[str, ...]:
    """Write a history as one array of JSON objects, one a line."""
    separator = "["
    for event in _events(history):
        stream.write(separator + json.dumps(event))
        separator = ",\n"
    stream.write("[]\n" if separator == "[" else "]\n")
    return _notes(history.ops)


def _notes(ops: Ops) -> tuple[str, ...]:
    count = int(ops.outcome_is(Outcome.LOCAL).sum())
    return (f"{count} operations were {_LOCAL}: written as info",) if count else ()


def _events(history: History) -> Iterator[_Event]:
    """Yield the events of clients, and those of faults among them by their time."""
    ops = history.ops
    zero = int(ops.invoke_ns.min()) if len(ops) else 0
    name_key = _key_namer(ops)
    keyed = bool(len(ops)) and bool((ops.key != NONE).all())
    faults = sorted(_fault_events(history.faults, zero), key=lambda event: event["time"], reverse=True)
    for number, (index, is_end) in enumerate(events_of(ops)):
        time_ns = int((ops.complete_ns if is_end else ops.invoke_ns)[index]) - zero
        while faults and faults[-1]["time"] <= time_ns:
            yield faults.pop()
        outcome, f = Outcome(int(ops.outcome[index])), function_at(ops, index)
        value = value_at(ops, index)
        if not is_end and outcome is Outcome.OK:
            value = _asked(f, value)
        event: _Event = {"index": number, "type": _TYPES[outcome] if is_end else "invoke", "f": f}
        if int(ops.process[index]) >= 0:
            event["process"] = _number_or_text(ops.process_name(index))
        key = int(ops.key[index])
        if keyed:  # Jepsen's independent tuple
            value = [name_key(key), value]
        elif key != NONE:
            event["key"] = name_key(key)
        event |= {"value": value, "time": time_ns}
        error = ops.error_text(index) if is_end else None
        if is_end and outcome is Outcome.LOCAL:
            error = _LOCAL
        if error is not None:
            event["error"] = error
        yield event
    yield from reversed(faults)


def _fault_events(faults: tuple[FaultRecord, ...], zero: int) -> Iterator[_Event]:
    for fault in faults:
        for at_ns, f in ((fault.at_ns, fault.fault), (fault.healed_ns, f"heal-{fault.fault}")):
            if at_ns is not None:
                yield {
                    "type": "info",
                    "f": f,
                    "process": "nemesis",
                    "value": list(fault.targets),
                    "time": at_ns - zero,
                }


def _asked(f: str, value: Any) -> Any:
    """Return what an acknowledged op was invoked with."""
    if f in QUESTIONS and not _is_transaction(value):
        return None
    if not _is_transaction(value):
        return value
    asked = []
    for mop in value:
        name = mop[0].removeprefix(":")
        if mop[0] in READS:
            asked.append([mop[0], mop[1], None])
        elif name == "poll":
            asked.append(mop[:1])
        elif name == "send" and len(mop) == 3 and isinstance(mop[2], list) and len(mop[2]) == 2:
            asked.append([mop[0], mop[1], mop[2][1]])
        else:
            asked.append(mop)
    return asked


def _is_transaction(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(mop, list) and mop and isinstance(mop[0], str) and mop[0].removeprefix(":") in _MOPS
            for mop in value
        )
    )


def _key_namer(ops: Ops) -> Callable[[int], Any]:
    """Return how keys are written: as they were, or by number where two would be written alike."""
    names = ops.key_names
    if names is None or len(set(names)) < len(names):
        return int
    return lambda key: _number_or_text(names[key])


def _number_or_text(name: str) -> int | str:
    return int(name) if _INTEGER.fullmatch(name) else name


def _edn_field(name: str, item: Any) -> str:
    if name in ("type", "f"):
        return f":{item}" if _WORD.fullmatch(f":{item}") else _string(item)
    if item == "nemesis" and name == "process":
        return ":nemesis"
    return _edn(item)


def _edn(value: Any) -> str:
    """Return a value of a history as EDN; texts are keywords, symbols or strings by how they were read."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "##NaN" if math.isnan(value) else "##Inf" if value > 0 else "##-Inf"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_edn_key(key)} {_edn(item)}" for key, item in value.items()) + "}"
    if _is_transaction(value):
        mops = (" ".join([f":{mop[0].removeprefix(':')}", *map(_edn, mop[1:])]) for mop in value)
        return "[" + " ".join(f"[{mop}]" for mop in mops) + "]"
    return "[" + " ".join(map(_edn, value)) + "]"


def _edn_key(key: str) -> str:
    """Return a key of a map: what is no text was written as JSON, and a text that reads as JSON in quotes."""
    try:
        value = json.loads(key)
    except ValueError:
        return _text(key)
    return _string(value) if isinstance(value, str) else _edn(value)


def _text(text: str) -> str:
    if _WORD.fullmatch(text):
        return text if text[0] == ":" else text[1:]
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    return _string(text)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
