"""What is written for other tools reads back as the same history, by the verdict and by the ops."""

from __future__ import annotations

import io

import numpy as np
import pytest

from outlast.checkers.base import worst
from outlast.checkers.judge import judge
from outlast.errors import HistoryError
from outlast.history.exports import EXPORTS, write_history
from outlast.history.formats import read_history_text
from outlast.history.history import FaultRecord, History
from outlast.history.op import Ops, Outcome
from outlast.history.sketch import sketch

REGISTER = """
    0 does write 1
    1 invoke cas [1,2]
    2 does read {seen}
    1 ok cas
    3 maybe write 3
    3 does read 3
    4 fails write 9
    5 does cas [7]
"""
KEYED = "0 does write x: 1\n1 does write y: {seen}\n2 does read x: 1\n2 does read y: 2\n3 fails cas x: [1,5]"
KV = """
    0 does put x: "a"
    1 maybe append x: "b"
    1 does get x: "{seen}"
    2 does put y: "c"
    2 does get z: ""
"""
TXNS = """
    0 does txn [["w","x",1],["w","y",2]]
    1 maybe txn [["w","x",3],["r","y",null]]
    2 does txn [["r","x",{seen}],["r","y",2]]
    2 fails txn [["w","y",9]]
    3 maybe txn [["w","z",4]]
    3 does txn [["r","z",null]]
"""
LISTS = '0 does txn [["append",1,1]]\n0 does txn [["append",1,2]]\n1 does txn [["r",1,[1{seen}]]]'
STRANGE = """{:process :a :type :invoke :f :kill}
{:process "one" :type :invoke :f :write :value {:a "b", 1 [2.5 true #{7}], "1" sym}}
{:process "one" :type :ok :f :write :value {:a "b", 1 [2.5 true #{7}], "1" sym}}
{:process 7000000000 :type :invoke :f :write :value ":a \\"quoted\\"\\n"}
{:process 7000000000 :type :info :f :write :value nil :error [:lost "it"]}
{:process 3 :type :invoke :f :read :value nil} {:process 3 :type :ok :f :read :value ##Inf}"""


def written(history: History, format: str) -> str:
    stream = io.StringIO()
    write_history(history, format, stream)
    return stream.getvalue()


def again(history: History, format: str) -> Ops:
    text = written(history, format)
    named = format if format != "porcupine" else "porcupine-kv" if text.startswith("{") else "porcupine-etcd"
    found, guessed = read_history_text(text)
    assert guessed == named
    return found.ops


def verdict(ops: Ops, model: str, level: str = "strict-serializable") -> str:
    return worst(finding.verdict for finding in judge(History(ops), model, level))


STRICT = "strict-serializable"
EVENTS = ("jepsen-edn", "json")
CASES = [
    (format, text.format(seen=seen), model, level, wanted)
    for text, model, level, formats, seen_and_wanted in (
        (REGISTER, "cas-register", STRICT, (*EVENTS, "porcupine"), {"1": "pass", "7": "fail"}),
        (KEYED, "cas-register", STRICT, EVENTS, {"2": "pass", "3": "fail"}),
        (KV, "kv", STRICT, (*EVENTS, "porcupine"), {"ab": "pass", "b": "fail"}),
        (TXNS, "rw-register", "serializable", (*EVENTS, "plume"), {"1": "pass", "3": "pass", "8": "fail"}),
        (LISTS, "list-append", STRICT, EVENTS, {",2": "pass", "": "fail"}),
    )
    for format in formats
    for seen, wanted in seen_and_wanted.items()
]  # fmt: skip


@pytest.mark.parametrize(("format", "text", "model", "level", "wanted"), CASES)
def test_the_verdict_is_the_same_after_export_and_reading_back(
    format: str, text: str, model: str, level: str, wanted: str
) -> None:
    ops = sketch(text)
    assert verdict(ops, model, level) == wanted
    assert verdict(again(History(ops), format), model, level) == wanted


@pytest.mark.parametrize("format", ["jepsen-edn", "json"])
@pytest.mark.parametrize("text", [REGISTER.format(seen=1), KEYED.format(seen=2), LISTS.format(seen="")])
def test_events_read_back_as_the_same_ops(format: str, text: str) -> None:
    ops = sketch(text)
    back = again(History(ops), format)
    for column in ("process", "f", "value", "invoke_pos", "complete_pos", "outcome"):
        assert np.array_equal(getattr(back, column), getattr(ops, column)), column
    assert [back.key_name(key) if key >= 0 else None for key in back.key.tolist()] == [
        ops.key_name(key) if key >= 0 else None for key in ops.key.tolist()
    ]


def test_strange_values_names_and_errors_read_back_from_edn() -> None:
    ops = read_history_text(STRANGE, "jepsen-edn")[0].ops
    back = again(History(ops), "jepsen-edn")
    assert back.payload == ops.payload
    assert [back.process_name(index) for index in range(3)] == ["one", "7000000000", "3"]
    assert back.error_text(1) == ops.error_text(1)


def test_a_commit_on_one_node_alone_is_unknown_to_others_and_faults_are_the_nemesis() -> None:
    ops = sketch("0 does write 1\n0 does read 1")
    ops.outcome[0] = Outcome.LOCAL
    fault = FaultRecord("process-kill", ("n1",), 0, 0, int(ops.invoke_ns[1]), None, True, "")
    stream = io.StringIO()
    notes = write_history(History(ops, faults=(fault,)), "jepsen-edn", stream)
    assert "1 operations were committed on the serving node alone" in notes[0]
    lines = stream.getvalue().splitlines()
    assert ":type :info" in lines[1]
    assert lines[2].startswith('{:type :info, :f :process-kill, :process :nemesis, :value ["n1"]')
    back = read_history_text(stream.getvalue())[0].ops
    assert back.outcome.tolist() == [Outcome.INFO, Outcome.OK]


def test_plume_says_nil_as_zero_and_keeps_unknown_writes_that_were_read() -> None:
    text = written(History(sketch(TXNS.format(seen=3))), "plume")
    assert text.splitlines() == [
        "w(0,1,0,0)",
        "w(1,2,0,0)",
        "w(0,3,1,1)",
        "r(0,3,2,2)",
        "r(1,2,2,2)",
        "w(1,9,2,-1)",
        "r(2,0,3,5)",
    ]


def test_an_open_op_ends_its_process_in_porcupines_logs() -> None:
    text = written(
        History(sketch("0 maybe write 1\n0 does read 1\n0 maybe write 2\n0 does write 3")), "porcupine"
    )
    assert [line.split()[3:5] for line in text.splitlines()] == [
        ["0", ":invoke"],
        ["1", ":invoke"],
        ["1", ":ok"],
        ["1", ":invoke"],
        ["2", ":invoke"],
        ["2", ":ok"],
    ]


@pytest.mark.parametrize(
    ("format", "text", "what"),
    [
        ("porcupine", "0 does enqueue 1", "porcupine's logs have no enqueue"),
        ("porcupine", "0 does write x: 1\n0 does write y: 1", "one register's"),
        ("porcupine", "0 does write -1", "no negative integers"),
        ("porcupine", '0 does put "a"', "names no key"),
        ("porcupine", '0 does put x: "a\\"b"', "plain texts"),
        ("plume", LISTS.format(seen=""), "op 0 is no transaction of registers"),
        ("csv", "0 does write 1", "there is no format csv to write"),
    ],
)
def test_what_a_format_has_no_words_for_is_refused_before_anything_is_written(
    format: str, text: str, what: str
) -> None:
    stream = io.StringIO()
    with pytest.raises(HistoryError, match=what):
        write_history(History(sketch(text)), format, stream)
    if format != "plume":
        assert stream.getvalue() == ""


def test_every_export_is_read_back_above() -> None:
    assert {format for format, *_ in CASES} == set(EXPORTS)
    for format in ("jepsen-edn", "json"):
        assert len(read_history_text(written(History(sketch("")), format), format)[0].ops) == 0
