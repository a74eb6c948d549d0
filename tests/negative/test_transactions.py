"""For each anomaly a history that has it, and nothing that it does not bring with it.

Each is put among clean transactions on other keys, before and after, and must be found there all the same.
"""

from __future__ import annotations

import json
import re

import pytest

from outlast.checkers.base import Finding, Verdict
from outlast.checkers.transactions.check import ListAppend, RwRegister
from outlast.checkers.transactions.consistency import BY_SIGHT, LEVELS, PROSCRIBED
from outlast.clock import deadline_ns
from outlast.history.history import History
from outlast.history.op import Ops
from outlast.history.sketch import sketch
from outlast.testing.simulated_history import serial_history

# Transactions that overlap all begin together (invoke) and then end; "does" is one after another.
TOGETHER = "0 invoke txn\n1 invoke txn\n2 invoke txn\n3 invoke txn\n"

LIST_APPEND = {
    "G0": (
        TOGETHER
        + '0 ok txn [["append","x",1],["append","y",1]]\n1 ok txn [["append","x",2],["append","y",2]]\n'
        '2 ok txn [["r","x",[1,2]]]\n3 ok txn [["r","y",[2,1]]]',
        # Two readers of half the writes are anti-dependencies too, but G0 is worse and the same cycle.
        {"G0": 1},
    ),
    "G1a": ('0 fails txn [["append","x",1]]\n1 does txn [["r","x",[1]]]', {"G1a": 1}),
    "G1b": (
        '0 invoke txn\n1 invoke txn\n0 ok txn [["append","x",1],["append","x",2]]\n1 ok txn [["r","x",[1]]]',
        # Who sees the first append of a transaction misses its second: a G-single, as Elle has it too.
        {"G1b": 1, "G-single": 1},
    ),
    "G1c": (
        '0 invoke txn\n1 invoke txn\n0 ok txn [["append","x",1],["r","y",[1]]]\n'
        '1 ok txn [["append","y",1],["r","x",[1]]]',
        {"G1c": 1},
    ),
    "G-single": (
        TOGETHER + '0 ok txn [["append","x",1],["append","y",1]]\n1 ok txn [["r","x",[1]],["r","y",[]]]\n'
        "2 fail\n3 fail",
        {"G-single": 1},
    ),
    "G-nonadjacent": (
        TOGETHER + '0 ok txn [["append","x",1]]\n1 ok txn [["append","y",1]]\n'
        '2 ok txn [["r","x",[1]],["r","y",[]]]\n3 ok txn [["r","x",[]],["r","y",[1]]]',
        {"G-nonadjacent": 1},
    ),
    "G2-item": (
        '0 invoke txn\n1 invoke txn\n0 ok txn [["r","x",[]],["append","y",1]]\n'
        '1 ok txn [["r","y",[]],["append","x",1]]',
        {"G2-item": 1},
    ),
    "lost-update": (
        '0 invoke txn\n1 invoke txn\n0 ok txn [["r","x",[]],["append","x",1]]\n'
        '1 ok txn [["r","x",[]],["append","x",2]]\n2 does txn [["r","x",[1,2]]]',
        {"lost-update": 1, "G-single": 1},
    ),
    "internal": ('0 does txn [["append","x",1],["r","x",[]]]', {"internal": 1}),
    "future-read": ('0 does txn [["r","x",[1]],["append","x",1]]', {"future-read": 1}),
    "duplicate-elements": (
        '0 does txn [["append","x",1]]\n1 does txn [["r","x",[1,1]]]',
        {"duplicate-elements": 1},
    ),
    "incompatible-order": (
        TOGETHER + '0 ok txn [["append","x",1]]\n1 ok txn [["append","x",2]]\n2 ok txn [["r","x",[1]]]\n'
        '3 ok txn [["r","x",[2]]]',
        {"incompatible-order": 1},
    ),
    "garbage-read": ('0 does txn [["r","x",[7]]]', {"garbage-read": 1}),
    "reordered-appends": (
        '0 does txn [["append","x",1],["append","x",2]]\n1 does txn [["r","x",[2,1]]]',
        {"reordered-appends": 1, "G1b": 1},
    ),
    "dirty-update": (
        '0 fails txn [["append","x",1]]\n1 does txn [["append","x",2]]\n2 maybe txn [["r","x",[1,2]]]',
        {"dirty-update": 1},
    ),
    "G0-process": (
        '0 does txn [["append","x",1]]\n0 invoke txn\n1 invoke txn\n0 ok txn [["append","x",2]]\n'
        '1 ok txn [["r","x",[2,1]]]',
        {"G0-process": 1},
    ),
    "G0-realtime": (
        '0 does txn [["append","x",1]]\n1 invoke txn\n2 invoke txn\n1 ok txn [["append","x",2]]\n'
        '2 ok txn [["r","x",[2,1]]]',
        {"G0-realtime": 1},
    ),
    "G1c-process": (
        '0 invoke txn\n1 invoke txn\n0 ok txn [["r","x",[1]]]\n0 invoke txn\n'
        '0 ok txn [["append","x",1]]\n1 fail',
        {"G1c-process": 1},
    ),
    "G1c-realtime": (
        '0 does txn [["r","x",[1]]]\n1 does txn [["append","x",1]]',
        {"G1c-realtime": 1},
    ),
    "G-single-process": (
        '0 does txn [["append","x",1]]\n0 does txn [["r","x",[]]]',
        {"G-single-process": 1},
    ),
    "G-single-realtime": (
        '0 does txn [["append","x",1]]\n1 does txn [["r","x",[]]]',
        {"G-single-realtime": 1},
    ),
    "G-nonadjacent-process": (
        '0 invoke txn\n2 invoke txn\n1 does txn [["append","x",1]]\n1 does txn [["r","z",[]]]\n'
        '0 ok txn [["r","x",[]],["r","z",[1]]]\n2 ok txn [["append","z",1]]',
        {"G-nonadjacent-process": 1},
    ),
    "G-nonadjacent-realtime": (
        '0 invoke txn\n2 invoke txn\n1 does txn [["append","x",1]]\n3 does txn [["r","z",[]]]\n'
        '0 ok txn [["r","x",[]],["r","z",[1]]]\n2 ok txn [["append","z",1]]',
        {"G-nonadjacent-realtime": 1},
    ),
    "G2-item-process": (
        '0 invoke txn\n1 does txn [["append","x",1]]\n1 does txn [["r","y",[]]]\n'
        '0 ok txn [["r","x",[]],["append","y",1]]',
        {"G2-item-process": 1},
    ),
    "G2-item-realtime": (
        '0 invoke txn\n1 does txn [["append","x",1]]\n2 does txn [["r","y",[]]]\n'
        '0 ok txn [["r","x",[]],["append","y",1]]',
        {"G2-item-realtime": 1},
    ),
}

RW_REGISTER = {
    "G1a": ('0 fails txn [["w","x",1]]\n1 does txn [["r","x",1]]', {"G1a": 1}),
    "G1b": (
        '0 invoke txn\n1 invoke txn\n0 ok txn [["w","x",1],["w","x",2]]\n1 ok txn [["r","x",1]]',
        {"G1b": 1},
    ),
    "G1c": (
        '0 invoke txn\n1 invoke txn\n0 ok txn [["w","x",1],["r","y",1]]\n1 ok txn [["w","y",1],["r","x",1]]',
        {"G1c": 1},
    ),
    "G-single": (
        '0 invoke txn\n1 invoke txn\n0 ok txn [["w","x",1],["w","y",1]]\n'
        '1 ok txn [["r","x",1],["r","y",null]]',
        {"G-single": 1},
    ),
    "G-nonadjacent": (
        TOGETHER + '0 ok txn [["w","x",1]]\n1 ok txn [["w","y",1]]\n'
        '2 ok txn [["r","x",1],["r","y",null]]\n3 ok txn [["r","x",null],["r","y",1]]',
        {"G-nonadjacent": 1},
    ),
    "G2-item": (
        '0 invoke txn\n1 invoke txn\n0 ok txn [["r","x",null],["w","y",1]]\n'
        '1 ok txn [["r","y",null],["w","x",1]]',
        {"G2-item": 1},
    ),
    "lost-update": (
        '0 does txn [["w","x",1]]\n0 invoke txn\n1 invoke txn\n0 ok txn [["r","x",1],["w","x",2]]\n'
        '1 ok txn [["r","x",1],["w","x",3]]',
        {"lost-update": 1, "G2-item": 1},
    ),
    "internal": ('0 does txn [["w","x",1],["r","x",null]]', {"internal": 1}),
    "future-read": ('0 does txn [["r","x",1],["w","x",1]]', {"future-read": 1}),
    "garbage-read": ('0 does txn [["w","x",1]]\n1 invoke txn\n1 ok txn [["r","x",7]]', {"garbage-read": 1}),
    "no-serial-order-realtime": (
        '0 invoke txn\n1 invoke txn\n0 ok txn [["w","x",1]]\n1 ok txn [["w","x",2]]\n2 does txn [["r","x",2]]\n'
        '3 does txn [["r","x",1]]\n2 does txn [["r","x",2]]',
        {"no-serial-order-realtime": 1},
    ),
    "cyclic-versions": (
        '0 invoke txn\n1 invoke txn\n0 ok txn [["r","x",1],["w","x",2]]\n1 ok txn [["r","x",2],["w","x",1]]',
        {"cyclic-versions": 1, "G1c": 1},
    ),
    "G1c-realtime": ('0 does txn [["r","x",1]]\n1 does txn [["w","x",1]]', {"G1c-realtime": 1}),
    "G-single-process": ('0 does txn [["w","x",1]]\n0 does txn [["r","x",null]]', {"G-single-process": 1}),
    "G-single-realtime": (
        '0 does txn [["w","x",1]]\n1 does txn [["w","x",2]]\n2 does txn [["r","x",1]]',
        {"G-single-realtime": 1},
    ),
}


def judge(model: str, ops: Ops, consistency: str = "strict-serializable") -> Finding:
    checker = ListAppend(consistency) if model == "list-append" else RwRegister(consistency)
    return checker.check(History(ops), deadline_ns(20))


CASES = [("list-append", name) for name in LIST_APPEND] + [("rw-register", name) for name in RW_REGISTER]


def history_of(model: str, name: str) -> tuple[str, dict[str, int]]:
    return (LIST_APPEND if model == "list-append" else RW_REGISTER)[name]


@pytest.mark.parametrize(("model", "anomaly"), CASES)
def test_anomaly_is_found_and_nothing_else(model: str, anomaly: str) -> None:
    text, expected = history_of(model, anomaly)
    finding = judge(model, sketch(text))
    assert finding.verdict is Verdict.FAIL
    assert dict(finding.anomalies) == expected
    assert all(each.ops for each in finding.evidence[:-1])


@pytest.mark.parametrize(("model", "anomaly"), CASES)
def test_levels_that_allow_it_pass(model: str, anomaly: str) -> None:
    text, expected = history_of(model, anomaly)
    for level in set(LEVELS) - set(BY_SIGHT):  # what those forbid is said in other words
        finding = judge(model, sketch(text), level)
        fails = bool(PROSCRIBED[level] & set(expected))
        if "no-serial-order-realtime" in expected:  # nor is there an order for snapshots
            fails = level.startswith("str") and not level.startswith("strong-session")
        assert finding.verdict is (Verdict.FAIL if fails else Verdict.PASS), level


@pytest.mark.parametrize(
    ("level", "anomaly"),
    [
        ("read-committed", None),
        ("snapshot-isolation", "no-snapshot-order"),
        ("repeatable-read", "no-serial-order"),
        ("serializable", "no-serial-order"),
        ("strict-serializable", "no-serial-order"),
    ],
)
def test_reads_that_no_order_of_two_writes_explains_are_found_at_each_level(
    level: str, anomaly: str | None
) -> None:
    text = TOGETHER + (
        '0 ok txn [["w","x",1],["w","y",1]]\n1 ok txn [["w","x",2],["w","y",2]]\n'
        '2 ok txn [["r","x",1],["r","y",2]]\n3 ok txn [["w","z",1]]'
    )
    finding = judge("rw-register", sketch(text), level)
    assert dict(finding.anomalies) == ({anomaly: 1} if anomaly else {})
    assert finding.verdict is (Verdict.FAIL if anomaly else Verdict.PASS)


def test_a_written_nil_is_no_initial_state() -> None:
    text = '0 does txn [["w","x",1]]\n0 does txn [["w","x",null]]\n1 does txn [["r","x",null]]'
    assert judge("rw-register", sketch(text)).verdict is Verdict.PASS


def test_the_later_append_of_a_transaction_without_the_earlier_is_found() -> None:
    text = '0 does txn [["append","x",1],["append","x",2]]\n1 does txn [["r","x",[2]]]'
    assert "reordered-appends" in judge("list-append", sketch(text), "read-uncommitted").anomalies


@pytest.mark.parametrize("key", ["true", "1.0", '"1"'])
def test_keys_and_elements_of_other_types_are_other_ones(key: str) -> None:
    text = f'0 does txn [["append",1,1],["append",1,{key}]]\n1 does txn [["r",1,[1,{key}]],["r",{key},[]]]'
    assert judge("list-append", sketch(text)).anomalies == {}


@pytest.mark.parametrize("elements", [[None], [2**70, -(2**63), 2**63 - 1], [None, 1, True, 1.5, "a"]])
def test_elements_may_be_anything(elements: list[object]) -> None:
    appends = json.dumps([["append", 1, element] for element in elements])
    text = f"0 does txn {appends}\n1 does txn {json.dumps([['r', 1, elements]])}"
    assert judge("list-append", sketch(text)).anomalies == {}
    lost = sketch(f"{text}\n2 does txn {json.dumps([['r', 1, elements[:-1]]])}")
    assert judge("list-append", lost).verdict is Verdict.FAIL


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("model", "anomaly"), CASES)
def test_anomaly_is_found_among_clean_transactions(model: str, anomaly: str, seed: int) -> None:
    text, expected = history_of(model, anomaly)
    finding = judge(model, sketch(f"{_clean(model, seed)}\n{_moved(text)}\n{_clean(model, seed, 1000)}"))
    assert dict(finding.anomalies) == expected


def _moved(text: str) -> str:
    """Give a sketch's processes numbers that no clean transaction uses."""
    return "\n".join(str(int(line[0]) + 90) + line[1:] for line in text.splitlines())


def _clean(model: str, seed: int, shift: int = 0) -> str:
    """Return a clean history as a sketch, on keys and processes of its own: shift tells two apart."""
    ops = serial_history(30, lists=model == "list-append", seed=seed, ok_share=1.0)
    assert ops.payload is not None
    events = []
    for index, payload in enumerate(ops.payload):
        mops = [[f, key + 10 + shift, value] for f, key, value in json.loads(payload or "[]")]
        process = int(ops.process[index]) + 200 + shift
        events.append((int(ops.invoke_pos[index]), f"{process} invoke txn"))
        events.append((int(ops.complete_pos[index]), f"{process} ok txn {json.dumps(mops)}"))
    return "\n".join(line for _, line in sorted(events))


SEEN_WRONGLY = {
    ("read-atomic", "fractured-read"): (
        "0 invoke txn\n1 invoke txn\n0 ok txn {w(x,1)},{w(y,1)}\n1 ok txn {r(x,1)},{r(y,)}\n",
        "read-committed",
    ),
    ("read-atomic", "fractured-read-process"): (
        "0 does txn {w(x,1)}\n0 does txn {r(x,)}\n",
        "strong-session-read-committed",
    ),
    ("causal", "no-causal-order"): (
        "0 does txn {w(x,1)}\n1 does txn {r(x,1)},{w(y,1)}\n2 does txn {r(y,1)},{r(x,)}\n",
        "read-atomic",
    ),
    ("pram", "no-pram-order"): (
        "0 does txn {w(x,1)}\n0 does txn {w(y,1)}\n1 does txn {r(y,1)}\n1 does txn {r(x,)}\n",
        "read-committed",
    ),
    ("cursor-stability", "lost-update"): (
        "0 invoke txn\n1 invoke txn\n0 ok txn {r(x,)},{w(x,1)}\n1 ok txn {r(x,)},{w(x,2)}\n",
        "read-atomic",
    ),
    ("strong-session-snapshot-isolation", "G-single-process"): (
        "0 does txn {w(x,1)}\n0 does txn {r(x,)}\n",
        "serializable",
    ),
    ("strong-session-serializable", "G2-item-process"): (
        "0 does txn {r(z,)}\n1 invoke txn\n0 does txn {w(x,1)}\n0 does txn {r(y,)}\n1 ok txn {r(x,)},{w(y,1)}\n",
        "serializable",
    ),
    ("strong-snapshot-isolation", "G-single-realtime"): (
        "0 does txn {w(x,1)}\n1 does txn {r(x,)}\n",
        "strong-session-serializable",
    ),
}


def _spelled(text: str, lists: bool) -> str:
    """Return a history of the table above: w(x,1) appends to a list, r(x,1) reads [1]; or of registers."""
    text = re.sub(r"w\((\w),(\d)\)", r'["append","\1",\2]' if lists else r'["w","\1",\2]', text)
    text = re.sub(r"r\((\w),(\d?)\)", r'["r","\1",[\2]]' if lists else r'["r","\1",\2]', text)
    text = re.sub(r"\{(.*)\}", r"[\1]", text.replace("},{", ","))
    return text.replace('",]', '",null]')


@pytest.mark.parametrize("model", ["list-append", "rw-register"])
@pytest.mark.parametrize(("level", "anomaly"), SEEN_WRONGLY)
def test_a_level_finds_what_the_one_below_it_allows(level: str, anomaly: str, model: str) -> None:
    text, below = SEEN_WRONGLY[level, anomaly]
    ops = sketch(_spelled(text, model == "list-append"))
    finding = judge(model, ops, level)
    assert anomaly in finding.anomalies
    assert finding.verdict is Verdict.FAIL
    assert finding.evidence[0].ops
    assert judge(model, ops, below).verdict is Verdict.PASS


@pytest.mark.parametrize(
    "said",
    [
        # Each process may see two writes in an order of its own, but not back and forth.
        ('0 does txn [["append","x",1]]\n1 does txn [["append","x",2]]\n'
         '2 does txn [["r","x",[1,2]]]\n3 does txn [["r","x",[2,1]]]', "pass"),
        ('0 does txn [["append","x",1]]\n1 does txn [["append","x",2]]\n'
         '2 does txn [["r","x",[1,2]]]\n2 does txn [["r","x",[2,1]]]', "fail"),
    ],
)  # fmt: skip
def test_pram_lets_each_process_see_an_order_of_its_own(said: tuple[str, str]) -> None:
    assert judge("list-append", sketch(said[0]), "pram").verdict == said[1]


def test_an_append_between_a_read_and_the_readers_own_append_is_no_cursor() -> None:
    text = (
        '0 invoke txn\n1 does txn [["append","x",1]]\n0 ok txn [["r","x",[]],["append","x",2]]\n'
        '1 does txn [["r","x",[1,2]]]'
    )
    finding = judge("list-append", sketch(text), "cursor-stability")
    assert finding.anomalies["G-cursor"] == 1
    assert finding.verdict is Verdict.FAIL


def test_updates_that_must_each_come_first_are_no_cursors() -> None:
    text = TOGETHER + (
        '0 ok txn [["r","x",null],["w","x",1],["w","y",1]]\n1 ok txn [["r","y",null],["w","y",2],["w","x",2]]\n'
        "2 ok txn []\n3 ok txn []"
    )
    finding = judge("rw-register", sketch(text), "cursor-stability")
    assert finding.verdict is Verdict.FAIL
    assert judge("rw-register", sketch(text), "read-atomic").verdict is Verdict.PASS


def test_a_read_that_was_overtaken_within_its_transaction_is_no_cursor() -> None:
    text = '0 does txn [["w","x",2]]\n0 does txn [["r","x",2],["r","x",null],["w","x",3]]'
    assert judge("rw-register", sketch(text), "cursor-stability").verdict is Verdict.FAIL
    assert judge("rw-register", sketch(text), "read-committed").verdict is Verdict.PASS
