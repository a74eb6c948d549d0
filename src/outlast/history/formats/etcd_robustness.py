"""What etcd's robustness tests keep: ``operations.json`` of each client, one Porcupine operation an object.

    {"ClientId": 1, "Input": {"Type": "txn", …}, "Call": ns, "Output": {…, "Revision": 7}, "Return": ns}

An output with an error says nothing of what happened, and a range at a revision of its own or answered with a
client's error nothing that the order of operations could contradict; neither do compaction and defragmentation.
Sources: etcd's tests/robustness, report/client.go, model/types.go and model/deterministic.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from outlast.errors import HistoryError
from outlast.history.formats.events import EventPairer
from outlast.history.formats.files import open_text, unreadable
from outlast.history.formats.json_values import json_values
from outlast.history.op import NEVER, Ops, Outcome

FILE: Final = "operations.json"
_IGNORED: Final = frozenset({"compact", "defragment"})
_KV_ONLY: Final = "the model kv knows gets, puts and deletes of single keys"

_Call = tuple[Any, str, str | None, Any, Any, int, int, Outcome, str, int]
"""Client, function, key, what was asked, what it gave, call and return in ns, outcome, file and line."""


def read_etcd_robustness(path: Path, model: str | None = None) -> Ops:
    """Return the operations of a file, or of all clients of a folder.

    model: ``kv`` for gets and puts by key, where there is nothing else; otherwise requests as the model ``etcd`` takes
    them, on one object. Raises HistoryError, naming the line, for an operation that makes no sense. O(n log n).
    """
    with unreadable(str(path)):
        files = sorted(path.glob(f"**/{FILE}")) if path.is_dir() else [path]
        if not files:
            raise HistoryError(f"holds no {FILE}", file=str(path))
        calls = [call for file in files for call in _calls(file, as_kv=model == "kv")]
    return _ops(calls)


def _ops(calls: list[_Call]) -> Ops:
    events = [(call[5], 0, number) for number, call in enumerate(calls)]
    events += [(call[6], 1, number) for number, call in enumerate(calls) if call[6] != NEVER]
    events.sort()
    pairer = EventPairer()
    processes: dict[int, Any] = {}
    for at, is_end, number in events:
        client, f, key, asked, gave, _, _, outcome, file, line = calls[number]
        pairer.file = file
        if is_end:
            pairer.complete(processes[number], outcome, gave, f=f, time_ns=at, line=line)
            continue
        # A client goes on under another number after an error; older versions do not.
        processes[number] = client if not pairer.is_open(client) else f"{client}, operation {number}"
        pairer.invoke(processes[number], f, key, asked, time_ns=at, line=line)
    return pairer.ops()


def _calls(path: Path, *, as_kv: bool) -> Iterator[_Call]:
    file = str(path)
    with unreadable(file), open_text(path) as stream:
        for value, line in json_values(stream, file):
            try:
                call = _call(value, file, line, as_kv=as_kv)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise HistoryError(
                    f"no operation of etcd's robustness tests: {type(error).__name__}: {error}",
                    file=file,
                    line=line,
                ) from None
            if call is not None:
                yield call


def _call(value: dict[str, Any], file: str, line: int, *, as_kv: bool) -> _Call | None:
    request, response = value["Input"], value["Output"] or {}
    kind = request["Type"]
    unknown = bool(_first(response, "Error", "Err", "PartialResponse", "ResultUnknown", "Persisted"))
    if kind in _IGNORED or response.get("ClientError") or (kind == "range" and unknown):
        return None
    if kind == "range" and request["Range"].get("Revision"):
        return None
    key, f, asked, gave = (_kv if as_kv else _etcd)(kind, request, None if unknown else response)
    begin, end = int(value["Call"]), NEVER if unknown else int(value["Return"])
    if end < begin:
        raise ValueError(f"it returned at {end} and was called at {begin}")
    outcome = Outcome.INFO if unknown else Outcome.OK
    return value["ClientId"], f, key, asked, gave, begin, end, outcome, file, line


def _etcd(kind: str, request: dict[str, Any], response: dict[str, Any] | None) -> tuple[None, str, Any, Any]:
    """Return an operation as the model ``etcd`` takes it: [what was asked, what was answered], None where nothing."""
    if kind == "txn":
        txn = request["Txn"]
        asked: list[Any] = [
            [_condition(condition) for condition in txn["Conditions"] or ()],
            [_operation(operation) for operation in txn["OperationsOnSuccess"] or ()],
            [_operation(operation) for operation in txn["OperationsOnFailure"] or ()],
        ]
    elif kind == "range":
        asked = _range(request["Range"])
    elif kind in ("leaseGrant", "leaseRevoke"):
        asked = [request["LeaseGrant" if kind == "leaseGrant" else "LeaseRevoke"]["LeaseID"]]
    else:
        raise ValueError(f"nothing is called {kind}")
    if response is None:
        return None, kind, [asked, None], None
    gave: list[Any] = [response["Revision"]]
    if kind == "txn":
        missed = bool(response["Txn"].get("Failure"))
        results = response["Txn"]["Results"] or ()
        done = asked[2 if missed else 1]
        if len(results) != len(done):
            raise ValueError(f"{len(done)} operations and {len(results)} results")
        gave += [missed, [_result(each[0], result) for each, result in zip(done, results, strict=True)]]
    elif kind == "range":
        gave.append(_result("range", response["Range"]))
    return None, kind, [asked, None], [asked, gave]


def _kv(kind: str, request: dict[str, Any], response: dict[str, Any] | None) -> tuple[str, str, Any, Any]:
    """Return a get or put of a single key, an absent one being "" as in Porcupine's key-value store."""
    if kind == "range":
        start, end, _ = _range(request["Range"])
        if end:
            raise ValueError(f"a range of keys; {_KV_ONLY}")
        found = (response or {})["Range"]["KVs"] or ()
        return start, "get", None, _value(found[0]["Value"]) if found else ""
    if kind != "txn":
        raise ValueError(f"a {kind}; {_KV_ONLY}")
    operations = request["Txn"]["OperationsOnSuccess"] or []
    if request["Txn"]["Conditions"] or len(operations) != 1:
        raise ValueError(f"a transaction of {len(operations)} operations, or on conditions; {_KV_ONLY}")
    operation: list[Any] = _operation(operations[0])
    name, key = str(operation[0]), str(operation[1])
    if name == "range":
        if operation[2]:
            raise ValueError(f"a range of keys; {_KV_ONLY}")
        if response is None:
            return key, "get", None, None
        found = response["Txn"]["Results"][0].get("KVs") or ()
        return key, "get", None, _value(found[0]["Value"]) if found else ""
    if name == "put" and operation[3]:
        raise ValueError(f"a put with a lease; {_KV_ONLY}")
    written = str(operation[2]) if name == "put" else ""
    return key, "put", written, written


def _condition(condition: dict[str, Any]) -> list[Any]:
    version = condition.get("ExpectedVersion") or 0
    what = "version" if version else "revision"
    return [condition["Key"], what, version or condition.get("ExpectedRevision") or 0]


def _operation(operation: dict[str, Any]) -> list[Any]:
    """Return [name, key, …]; older versions have the fields beside the type, newer ones in an object of their own."""
    name = operation["Type"].removesuffix("-operation")
    fields = operation.get(name.capitalize()) or operation
    if name == "range":
        return ["range", *_range(fields)]
    if name == "put":
        return ["put", fields["Key"], _value(fields["Value"]), fields.get("LeaseID") or 0]
    if name == "delete":
        return ["delete", fields["Key"]]
    raise ValueError(f"nothing is called {name}")


def _range(fields: dict[str, Any]) -> list[Any]:
    if fields.get("WithPrefix"):
        start = fields["Key"]
        return [start, start[:-1] + chr(ord(start[-1]) + 1) if start else "\0", fields.get("Limit") or 0]
    return [_first(fields, "Start", "Key") or "", fields.get("End") or "", fields.get("Limit") or 0]


def _result(name: str, result: dict[str, Any]) -> Any:
    if name == "range":
        found = [[kv["Key"], _value(kv.get("Value") or {}), kv["ModRevision"]] for kv in result["KVs"] or ()]
        return [found, result["Count"]]
    return result.get("Deleted") or 0 if name == "delete" else None


def _value(value: Any) -> str:
    """Return a value; long ones are kept by their hash alone."""
    if isinstance(value, str):
        return value
    return f"hash {value['Hash']}" if value.get("Hash") else str(value.get("Value") or "")


def _first(fields: dict[str, Any], *names: str) -> Any:
    return next((fields[name] for name in names if fields.get(name)), None)
