"""Histories as other people's tools write them: each is read as its authors read it, and refused by line or byte."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from outlast.checkers.base import worst
from outlast.checkers.judge import judge
from outlast.errors import HistoryError
from outlast.history.formats import FORMATS, MODEL_OF, guess_format, read_history, read_history_text
from outlast.history.op import NEVER, NONE, Ops, Outcome

APPEND_JSON = """[{"index":0,"process":0,"type":"invoke","f":"txn","value":[["append",7,1]]},
{"index":1,"process":0,"type":"ok","f":"txn","value":[["append",7,1]]},
{"index":2,"process":1,"type":"invoke","f":"txn","value":[["r",7,null]]},
{"index":3,"process":1,"type":"ok","f":"txn","value":[["r",7,[1]]]},
{"index":4,"process":1,"type":"invoke","f":"txn","value":[["r",7,null]]},
{"index":5,"process":1,"type":"ok","f":"txn","value":[["r",7,[]]]}]
"""
REGISTER_TXT = (
    "0\t:invoke\t:write\t[:a 1]\n0\t:ok\t:write\t[:a 1]\n:nemesis\t:info\t:start\tnil\n"
    "1\t:invoke\t:read\t[:a nil]\n1\t:ok\t:read\t[:a 1]\n0\t:invoke\t:write\t[:a 2]\n"
    '0\t:info\t:write\t[:a 2]\t[:timeout "no answer"]\n'
)
LOST_UPDATE_PLUME = "r(1,0,1,1)\nw(1,1,1,1)\nr(1,0,2,2)\nw(1,2,2,2)\n"


def ops_of(text: str, format: str | None = None) -> Ops:
    return read_history_text(text, format)[0].ops


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def verdict(path: Path, model: str, level: str = "strict-serializable") -> str:
    history = read_history(path, model=model)
    return worst(finding.verdict for finding in judge(history, model, level))


@pytest.mark.parametrize("shape", ["array", "lines", "one line"])
def test_json_is_one_array_or_objects_one_after_another(tmp_path: Path, shape: str) -> None:
    events = json.loads(APPEND_JSON)
    if shape == "lines":
        text = "\n".join(json.dumps(event) for event in events)
    else:
        text = json.dumps(events, indent=None if shape == "one line" else 1)
    ops = read_history(write(tmp_path / "h.json", text)).ops
    assert ops.payload == ['[["append",7,1]]', '[["r",7,[1]]]', '[["r",7,[]]]']
    assert verdict(tmp_path / "h.json", "list-append") == "fail"


def test_json_has_keys_that_are_integers_and_a_nemesis_that_is_no_client() -> None:
    ops = ops_of(
        '{"process":"nemesis","type":"info","f":"kill"}{"process":"a","type":"invoke","f":"read"}'
        '{"process":"a","type":"ok","f":"read","value":{"0":5,"-1":6,"x":7}}'
    )
    assert ops.payload == ['{"0":5,"-1":6,"x":7}']
    assert ops.process_name(0) == "a"


def test_a_value_longer_than_what_is_read_at_once_is_one_value(tmp_path: Path) -> None:
    long = "x" * (3 << 20)
    text = f'[{{"process":0,"type":"invoke","f":"write","value":"{long}"}},\n{{"process":0,"type":"ook"}}]'
    with pytest.raises(HistoryError, match=r"h\.json:2: an event with the :type ook"):
        read_history(write(tmp_path / "h.json", text))


def test_jepsen_text_is_read_as_edn_says() -> None:
    ops = ops_of(REGISTER_TXT)
    assert ops.value.tolist() == [1, 1, 2]
    assert [ops.key_name(key) for key in ops.key.tolist()] == [":a"] * 3
    assert ops.outcome.tolist() == [Outcome.OK, Outcome.OK, Outcome.INFO]
    assert ops.error_text(2) == '[:timeout "no answer"]'


def test_tagged_records_and_tuples_are_maps_and_vectors() -> None:
    text = (
        "#jepsen.history.Op{:process 0, :type :invoke, :f :write, :value #jepsen.independent/tuple [3 4]}\n"
        "#jepsen.history.Op{:process 0, :type :ok, :f :write, :value #jepsen.independent/tuple [3 4]}"
    )
    ops, format = read_history_text(text)
    assert (format, ops.ops.key.tolist(), ops.ops.value.tolist()) == ("jepsen-edn", [3], [4])


def test_gzip_is_seen_through_in_every_text_format(tmp_path: Path) -> None:
    for name, text in (("h.json", APPEND_JSON), ("history.txt", REGISTER_TXT), ("p.txt", LOST_UPDATE_PLUME)):
        plain, packed = write(tmp_path / name, text), tmp_path / f"{name}.gz"
        packed.write_bytes(gzip.compress(text.encode()))
        assert guess_format(packed) == guess_format(plain)
        assert read_history(packed).ops.payload == read_history(plain).ops.payload
        packed.write_bytes(gzip.compress(text.encode())[:-9])
        with pytest.raises(HistoryError, match=r"gz: cut short, or no gzip file"):
            read_history(packed)


def test_plume_knows_sessions_and_no_time(tmp_path: Path) -> None:
    # The second transaction reads nothing though the first stands before it: only their own sessions order them.
    path = write(tmp_path / "p.txt", "w(1,5,0,0)\nr(1,0,1,1)\n")
    assert read_history(path).ops.payload == ['[["w",1,5]]', '[["r",1,null]]']
    assert verdict(path, "rw-register") == "pass"
    assert verdict(write(path, "w(1,5,0,0)\nr(1,0,0,1)\n"), "rw-register") == "fail", (
        "one session reads its writes"
    )
    assert verdict(write(path, LOST_UPDATE_PLUME), "rw-register", "snapshot-isolation") == "fail"
    assert verdict(path, "rw-register", "read-committed") == "pass"


def test_plumes_aborted_writes_did_not_happen_and_zero_is_the_beginning_unless_written() -> None:
    ops = ops_of("w(1,5,3,-1)\nr(1,9,3,-1)\nw(1,6,3,0)\nr(2,0,3,0)\nw(3,0,4,1)\nr(3,0,3,2)\n")
    assert ops.payload == ['[["w",1,6],["r",2,null]]', '[["w",3,0]]', '[["r",3,0]]', '[["w",1,5]]']
    assert ops.outcome.tolist() == [Outcome.OK, Outcome.OK, Outcome.OK, Outcome.FAIL]
    assert ops.process[0] == ops.process[2] != ops.process[1]


def bincode(sessions: list[list[tuple[list[tuple[int, int, int, int]], int]]]) -> bytes:
    parts = [
        struct.pack("<5Q", 0, 2, 2, 2, 2),
        *(struct.pack("<Q", len(text)) + text for text in (b"", b"s", b"e")),
    ]
    parts.append(struct.pack("<Q", len(sessions)))
    for session in sessions:
        parts.append(struct.pack("<Q", len(session)))
        for events, success in session:
            parts.append(struct.pack("<Q", len(events)) + b"".join(struct.pack("<BQQB", *e) for e in events))
            parts.append(struct.pack("<B", success))
    return b"".join(parts)


def test_dbcop_is_read_from_bincode_and_from_json(tmp_path: Path) -> None:
    sessions = [[([(1, 1, 5, 1), (1, 2, 6, 0)], 1)], [([(0, 1, 0, 1), (1, 1, 7, 1)], 1), ([(1, 1, 8, 1)], 0)]]
    (tmp_path / "history.bincode").write_bytes(bincode(sessions))
    ops = read_history(tmp_path).ops
    assert ops.payload == ['[["w",1,5]]', '[["w",2,6]]', '[["r",1,null],["w",1,7]]', '[["w",1,8]]']
    assert ops.outcome.tolist() == [Outcome.OK, Outcome.FAIL, Outcome.OK, Outcome.FAIL]
    document = {
        "params": {"id": 0},
        "data": [
            [
                {
                    "events": [
                        dict(zip(("write", "variable", "value", "success"), e, strict=True)) for e in events
                    ],
                    "success": success,
                }
                for events, success in session
            ]
            for session in sessions
        ],
    }
    path = write(tmp_path / "h.json", json.dumps(document))
    assert guess_format(path) == "dbcop"
    assert read_history(path).ops.payload == ops.payload


def cobra(*records: tuple[Any, ...]) -> bytes:
    return b"".join(kind.encode() + struct.pack(f">{len(rest)}q", *rest) for kind, *rest in records)


def test_cobra_is_read_a_log_a_client(tmp_path: Path) -> None:
    (tmp_path / "T0.log").write_bytes(
        cobra(("S", 1), ("R", 0xBEBEEBEE, 0xBEBEEBEE, 7, 0), ("W", 51, 7, 9), ("C", 1))
    )
    (tmp_path / "T1.log").write_bytes(
        cobra(("S", 2), ("R", 1, 51, 7, 9), ("C", 2), ("S", 3), ("W", 52, 7, 9))
    )
    ops = read_history(tmp_path).ops
    assert ops.payload == ['[["r",7,null],["w",7,51]]', '[["r",7,51]]', '[["w",7,52]]']
    assert ops.outcome.tolist() == [Outcome.OK, Outcome.OK, Outcome.INFO]
    assert ops.complete_pos[2] == NEVER
    assert verdict(tmp_path, "rw-register") == "pass"


def etcd(client: int, call: int, back: int, request: dict[str, Any], response: dict[str, Any]) -> str:
    return json.dumps(
        {"ClientId": client, "Input": request, "Call": call, "Output": response, "Return": back}
    )


def put(key: str, value: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    operation = {"Type": "put-operation", "Put": {"Key": key, "Value": {"Value": value}, "LeaseID": 0}}
    return {"Type": "txn", "Txn": {"Conditions": list(conditions), "OperationsOnSuccess": [operation],
                                   "OperationsOnFailure": None}}  # fmt: skip


def get(key: str) -> dict[str, Any]:
    return {"Type": "range", "Range": {"Start": key, "End": "", "Limit": 0, "Revision": 0}}


def done(revision: int, *, missed: bool = False) -> dict[str, Any]:
    results = [] if missed else [{"KVs": None, "Count": 0, "Deleted": 0}]
    return {"Txn": {"Failure": missed, "Results": results}, "Revision": revision}


def found(revision: int, *pairs: tuple[str, str, int]) -> dict[str, Any]:
    kvs = [{"Key": key, "Value": {"Value": value}, "ModRevision": at} for key, value, at in pairs]
    return {"Range": {"KVs": kvs, "Count": len(kvs)}, "Revision": revision}


@pytest.mark.parametrize(
    ("last", "kv", "whole"),
    [
        (found(3, ("x", "b", 3)), "pass", "pass"),
        (found(2, ("x", "a", 2)), "fail", "fail"),
        (found(3, ("x", "a", 2)), "fail", "fail"),
        (found(4, ("x", "b", 3)), "pass", "fail"),  # a revision that nothing led to
    ],
)
def test_etcds_operations_are_judged_by_value_and_by_revision(
    tmp_path: Path, last: dict[str, Any], kv: str, whole: str
) -> None:
    folder = tmp_path / "client-1"
    folder.mkdir()
    lines = [
        etcd(1, 10, 20, put("x", "a"), done(2)),
        etcd(2, 30, 40, put("x", "b"), done(3)),
        etcd(2, 45, 0, get("y"), {"Error": "timed out"}),
        etcd(3, 50, 60, get("x"), last),
        etcd(3, 70, 80, {"Type": "defragment", "Defragment": {}}, {"Defragment": {}, "Revision": -1}),
    ]
    write(folder / "operations.json", "\n".join(lines))
    assert verdict(tmp_path, "kv") == kv
    assert verdict(tmp_path, "etcd") == whole
    assert read_history(tmp_path, model="kv").ops.key_names == ("x",)


def test_etcds_transactions_on_conditions_and_its_leases_are_judged(tmp_path: Path) -> None:
    unmade, made = ({"Key": "x", "ExpectedRevision": revision} for revision in (0, 3))
    leased = put("z", "c")
    leased["Txn"]["OperationsOnSuccess"][0]["Put"]["LeaseID"] = 9
    sound = [
        etcd(
            1, 1, 2, {"Type": "leaseGrant", "LeaseGrant": {"LeaseID": 9}}, {"LeaseGrant": {}, "Revision": 1}
        ),
        etcd(1, 3, 4, leased, done(2)),
        etcd(1, 5, 6, put("x", "a", unmade), done(3)),
        etcd(1, 7, 8, put("x", "b", unmade), done(3, missed=True)),
        etcd(1, 9, 0, put("x", "b", made), {"Error": "unavailable"}),
        etcd(
            1,
            9,
            10,
            {"Type": "leaseRevoke", "LeaseRevoke": {"LeaseID": 9}},
            {"LeaseRevoke": {}, "Revision": 4},
        ),
        etcd(1, 11, 12, get("z"), found(5)),
        etcd(1, 13, 14, get("x"), found(5, ("x", "b", 5))),
    ]
    path = write(tmp_path / "operations.json", "\n".join(sound))
    assert verdict(path, "etcd") == "pass"
    with pytest.raises(HistoryError, match=r"operations\.json:1: .*a leaseGrant; the model kv knows"):
        read_history(path, model="kv")
    twice = [*sound[:3], etcd(1, 7, 8, put("x", "b", unmade), done(4))]
    assert verdict(write(path, "\n".join(twice)), "etcd") == "fail"


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("h.json", '[{"type":"invoke","process":0},\n{"type":"ok",}]', "h.json:2: no JSON"),
        ("h.json", '[{"type":"invoke","process":0},\n', "h.json:2: the array is never closed"),
        ("h.json", '[{"type":"invoke","process":0}]\n[]', "h.json:2: text after the end"),
        (
            "h.json",
            '{"type":"ok","process":0,"f":"read"}\n{"type":"invoke","process":1,"f":"read"}',
            "h.json:1: ",
        ),
        ("h.json", "[1,\n2]", "h.json:1: an event is a map, this is 1"),
        ("h.txt", "0\t:invoke\t:read\tnil\n0\t:ok\t:read", "h.txt:2: not process, type, function and value"),
        ("h.txt", "0\t:invoke\t:read\tnil\n0\t:ok\t:read\t[1", "h.txt:2: the [ is never closed"),
        ("h.txt", "0\t:invoke\t:read\tnil\n0\t:ok\t:read\t1 2", "h.txt:2: not one value"),
        ("h.txt", "0\t:invoke\t:read\tnil\n1\t:ok\t:read\t1", "h.txt:2: process 1 completes"),
        ("p.txt", "w(1,1,0,0)\nw(1,x,0,0)", "p.txt:2: not r(key,value,session,txn)"),
        (
            "o.json",
            '{"ClientId":1,"Input":{"Type":"txn"},"Call":1,"Output":{},"Return":2}',
            "o.json:1: no operation",
        ),
        (
            "o.json",
            etcd(1, 5, 4, put("x", "a"), done(2)),
            "o.json:1: no operation of etcd's robustness tests",
        ),
        ("x.bin", "\x01\x02 what is this", "x.bin: looks like no history"),
        ("h.edn", '#"[1', "h.edn:1: "),
    ],
)
def test_what_makes_no_sense_is_refused_by_line(tmp_path: Path, name: str, text: str, what: str) -> None:
    with pytest.raises(HistoryError) as refused:
        read_history(write(tmp_path / name, text))
    assert what in str(refused.value)


def test_binary_histories_cut_anywhere_are_refused_by_byte(tmp_path: Path) -> None:
    whole = bincode([[([(1, 1, 5, 1)], 1)]])
    path = tmp_path / "history.bincode"
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(HistoryError, match=r"at byte|looks like no history"):
            read_history(path, "dbcop")
    path.write_bytes(whole + b"x")
    with pytest.raises(HistoryError, match="bytes after the last session"):
        read_history(path)
    path.write_bytes(whole[:-2] + b"\x07\x01")
    with pytest.raises(HistoryError, match="neither 0 nor 1"):
        read_history(path)
    log = tmp_path / "T0.log"
    whole = cobra(("S", 1), ("W", 51, 7, 9), ("C", 1))
    for cut in set(range(1, len(whole))) - {9, 34}:  # at those a record ends
        log.write_bytes(whole[:cut])
        with pytest.raises(HistoryError, match=r"T0\.log: cut short within .* at byte"):
            read_history(log, "cobra")
    log.write_bytes(cobra(("S", 1), ("C", 2)))
    with pytest.raises(HistoryError, match="transaction 1 is open and 2 commits"):
        read_history(log)


@pytest.mark.parametrize(("format", "text"), [("json", APPEND_JSON), ("jepsen-txt", REGISTER_TXT)])
def test_a_text_cut_anywhere_is_read_or_refused_by_line(format: str, text: str) -> None:
    for cut in range(len(text)):
        try:
            ops_of(text[:cut], format)
        except HistoryError as error:
            assert error.line is not None, error


def test_models_of_formats_are_models_and_formats() -> None:
    from outlast.checkers.judge import MODELS

    assert set(MODEL_OF) < set(FORMATS)
    assert set(MODEL_OF.values()) < set(MODELS)
    assert NONE not in ops_of(REGISTER_TXT).value
