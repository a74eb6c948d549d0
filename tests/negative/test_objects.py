"""For each checker of single objects and invariants, a history that breaks it in exactly one way, and a
sound one."""

from __future__ import annotations

import pytest

from outlast.checkers.bank import Bank
from outlast.checkers.base import Checker, Verdict
from outlast.checkers.counter import CounterBounds
from outlast.checkers.linearizable.check import Linearizable
from outlast.checkers.log import Log
from outlast.checkers.long_fork import LongFork
from outlast.checkers.sessions import SessionGuarantees
from outlast.checkers.set_full import SetFull
from outlast.checkers.total_queue import TotalQueue
from outlast.checkers.unique_ids import UniqueIds
from outlast.clock import deadline_ns
from outlast.errors import HistoryError
from outlast.history.history import History
from outlast.history.sketch import sketch

SOUND: list[tuple[Checker, str]] = [
    (Linearizable("register"), "0 does write 1\n1 invoke write 2\n2 does read 1\n2 does read 2\n1 ok"),
    (Linearizable("cas-register"), "0 does write 1\n0 does cas [1,2]\n1 does cas [1]\n1 does read 2"),
    (Linearizable("multi-register"), '0 does txn [["r","x",0]]\n0 does txn [["w","x",1],["r","y",5]]'),
    (Linearizable("kv"), '0 does get x: ""\n0 does append x: "a"\n0 does append x: "b"\n0 does get x: "ab"'),
    (Linearizable("mutex"), "0 does acquire\n1 invoke acquire\n0 does release\n1 ok"),
    (Linearizable("queue"), "0 does enqueue 1\n0 does enqueue 2\n1 does dequeue 1\n1 does dequeue 2"),
    (Linearizable("set"), "0 does add 1\n1 invoke add 2\n0 does read [2,1]\n1 ok"),
    (
        Linearizable("counter"),
        "0 does add 2\n1 invoke add 3\n0 does read 5\n0 does decrement 1\n1 ok\n0 does read 4",
    ),
    (UniqueIds(), '0 does generate 1\n1 does generate "1"'),
    (SetFull(), "0 does add 1\n0 maybe add 2\n1 does read [1]\n2 does read [1,2]"),
    (SetFull(linearizable=False), "0 does add 1\n0 does read []\n0 does read [1]"),
    (
        CounterBounds(),
        "0 does add 5\n1 invoke add 3\n2 does read 8\n2 does read 5\n3 does add -2\n2 does read 3",
    ),
    (Bank(), '0 does read {"a":5,"b":5}\n0 maybe transfer\n0 does read {"a":4,"b":6}'),
    (
        LongFork(),
        '0 does txn [["w","x",1]]\n1 does txn [["r","x",1],["r","y",null]]\n0 does txn [["w","y",1]]',
    ),
    (SessionGuarantees(), "0 does write x: 1\n1 does read x: null\n0 does read x: 1\n0 does read x: 4"),
    (
        Log(),
        "0 does append 1\n0 maybe append 2\n0 does append 3\n1 does read [[0,1],[1,3]]",
    ),
    (TotalQueue(), "0 does enqueue 1\n0 maybe enqueue 2\n1 does dequeue 2\n1 does drain [1]"),
    (TotalQueue(), "0 does enqueue 1\n1 fails dequeue"),
    (TotalQueue(), "0 invoke enqueue 1\n1 does dequeue\n0 ok"),
    (TotalQueue(), "0 does drain []\n0 does enqueue 1"),
    (TotalQueue(), "0 does enqueue 1\n1 maybe drain\n2 does drain []"),
    (TotalQueue(), "0 does enqueue 1\n1 maybe dequeue\n2 does dequeue"),
    (TotalQueue(), "0 does enqueue x: 1\n0 does dequeue y: null\n0 does dequeue x: 1"),
    (TotalQueue(linearizable=False), "0 does enqueue 1\n0 does dequeue\n0 does dequeue 1"),
    (Linearizable("queue"), "0 does dequeue\n0 does enqueue 1\n1 maybe dequeue\n0 does dequeue"),
    (SetFull(), "0 does add 1\n0 does remove 1\n0 does read []"),
    (SetFull(), "0 does add x: 1\n0 does read y: []\n0 does read x: [1]"),
    (SetFull(linearizable=False), "0 does add 1\n1 invoke read\n2 invoke read\n2 ok read []\n1 ok read [1]"),
    (Log(), "0 does append [5,1]\n0 does append [9,2]\n1 does read [[5,1],[9,2]]"),
    (Log(linearizable=False), "0 does append 1\n1 does read []\n1 does read [1]"),
    (Log(), "0 does append 1\n1 invoke append 2\n2 does read [1,2]\n1 ok\n2 does read [1,2]"),
    (CounterBounds(), f"0 does add {2**63}\n0 does add {2**63}\n0 does read {2**64}"),
    (Bank(), '0 does read {"a":0.1,"b":0.2}\n0 does read {"a":0.3,"b":0.0}'),
    (Bank(), '0 does read x: {"a":5}\n0 does read y: {"a":6}'),
    (Linearizable("multi-register"), '0 does write {"x":1,"y":2}\n0 does read {"x":1,"y":null}'),
]

BROKEN: list[tuple[Checker, str, dict[str, int]]] = [
    (Linearizable("register"), "0 does write 1\n0 does read 2", {"not-linearizable": 1}),
    (Linearizable("register"), "0 does write 1\n0 does write 2\n1 does read 1", {"not-linearizable": 1}),
    (Linearizable("cas-register"), "0 does write 1\n0 does cas [2,3]", {"not-linearizable": 1}),
    (Linearizable("cas-register"), "0 does write 1\n0 does cas [1]", {"not-linearizable": 1}),
    (Linearizable("cas-register"), "0 does write 1\n0 does read [null]", {"not-linearizable": 1}),
    (
        Linearizable("multi-register"),
        '0 does txn [["w","x",1],["w","y",1]]\n1 does txn [["r","x",1],["r","y",2]]',
        {"not-linearizable": 1},
    ),
    (
        Linearizable("kv"),
        '0 does put x: "a"\n0 does append x: "b"\n1 does get x: "ba"',
        {"not-linearizable": 1},
    ),
    (Linearizable("mutex"), "0 does acquire\n1 does acquire", {"not-linearizable": 1}),
    (Linearizable("queue"), "0 does enqueue 1\n0 does enqueue 2\n1 does dequeue 2", {"not-linearizable": 1}),
    (Linearizable("set"), "0 does add 1\n0 does read []", {"not-linearizable": 1}),
    (Linearizable("set"), "0 does add 1\n0 does read [1,1]", {"not-linearizable": 1}),
    (Linearizable("counter"), "0 does add 2\n0 does read 3", {"not-linearizable": 1}),
    (UniqueIds(), "0 does generate 1\n1 does generate 1", {"duplicate-id": 1}),
    (SetFull(), "0 does add 1\n0 does read [1]\n0 does read []", {"lost": 1}),
    (SetFull(), "0 does add 1\n0 does read []\n0 does read [1]", {"stale": 1}),
    (SetFull(), "0 does add 1\n0 does read [1,2]", {"unexpected": 1}),
    (SetFull(), "0 does add 1\n0 does read [1,1]", {"duplicated": 1}),
    (CounterBounds(), "0 does add 5\n0 does read 4", {"out-of-bounds": 1}),
    (CounterBounds(), "0 maybe add -1\n0 does read -2", {"out-of-bounds": 1}),
    (Bank(), '0 does read {"a":5,"b":5}\n0 does read {"a":4,"b":5}', {"wrong-total": 1}),
    (Bank(), '0 does read {"a":5,"b":5}\n0 does read {"a":-1,"b":11}', {"negative-balance": 1}),
    (Bank(), '0 does read {"a":5,"b":5}\n0 does read {"a":10,"b":null}', {"missing-balance": 1}),
    (
        LongFork(),
        '0 does txn [["w","x",1]]\n1 does txn [["w","y",1]]\n2 does txn [["r","x",1],["r","y",null]]\n'
        '3 does txn [["r","y",1],["r","x",null]]',
        {"long-fork": 1},
    ),
    (SessionGuarantees(), "0 does read x: 4\n0 does read x: 3", {"non-monotonic-read": 1}),
    (SessionGuarantees(), "0 does write x: 4\n0 does read x: 3", {"missed-own-write": 1}),
    (Log(), "0 does append 1\n0 does append 2\n1 does read [1]", {"lost": 1}),
    (Log(), "0 does append 1\n1 does read [1,1]", {"duplicated": 1}),
    (Log(), "0 does append 1\n0 does append 2\n1 does read [2,1]", {"reordered": 1}),
    (Log(), "0 does append 1\n0 does append 2\n1 does read [[0,1],[2,2]]", {"gap": 1}),
    (Log(), "0 does append 1\n1 does read [1,9]", {"garbage": 1}),
    (Log(), "0 does append 1\n0 does append 2\n1 does read [1,2]\n1 does read []", {"lost": 2}),
    (Log(), "0 does append 1\n0 does append 2\n1 does read [1,2]\n1 does read [1]", {"lost": 1}),
    (Log(), "0 does append 1\n1 does read []\n1 does read [1]", {"stale": 1}),
    (
        Log(),
        "0 does append 1\n0 does append 2\n0 does append 3\n1 does read [1,2,3]\n1 does read [1,3]",
        {"gap": 1, "lost": 1},
    ),
    (Log(), "0 does append 1\n1 does read [[0,1]]\n1 does read [[7,1]]", {"moved": 1}),
    (Log(), "1 does read [1]\n0 does append 1\n1 does read [1]", {"garbage": 1}),
    (TotalQueue(), "0 does enqueue 1\n0 does drain []", {"lost": 1}),
    (TotalQueue(), "0 does enqueue 1\n0 does dequeue 1\n0 does dequeue 2", {"unexpected": 1}),
    (TotalQueue(), "0 does enqueue 1\n0 does dequeue 1\n0 does dequeue 1", {"duplicated": 1}),
    (TotalQueue(), "1 does dequeue 1\n0 does enqueue 1", {"unexpected": 1}),
    (TotalQueue(), "0 does enqueue 1\n0 does dequeue\n0 does dequeue 1", {"missed": 1}),
    (
        TotalQueue(),
        "0 does enqueue 1\n0 does enqueue 2\n1 maybe dequeue\n0 does dequeue\n0 does enqueue 3",
        {"lost": 2},
    ),
    (Linearizable("queue"), "0 does enqueue 1\n0 does dequeue", {"not-linearizable": 1}),
    (Linearizable("stack"), "0 does push 1\n0 does push 2\n0 does pop 1", {"not-linearizable": 1}),
    (Linearizable("owner-mutex"), "0 does acquire\n1 does release", {"not-linearizable": 1}),
    (
        Linearizable("reentrant-mutex"),
        "0 does acquire\n0 does acquire\n1 does acquire",
        {"not-linearizable": 1},
    ),
    (Linearizable("semaphore"), "0 does acquire\n1 does acquire\n2 does acquire", {"not-linearizable": 1}),
    (Linearizable("register"), '0 does write 1\n0 does read "unknown"', {"not-linearizable": 1}),
    (Linearizable("register"), "0 does write 1\n0 does read 1.0", {"not-linearizable": 1}),
    (Linearizable("register"), "0 does write true\n0 does read 1", {"not-linearizable": 1}),
    (Linearizable("multi-register"), '0 does write {"x":1}\n0 does read {"x":2}', {"not-linearizable": 1}),
    (SetFull(), "1 does read [1]\n0 does add 1\n0 does read [1]", {"unexpected": 1}),
    (CounterBounds(), "0 does add 1\n0 does read 7.5", {"out-of-bounds": 1}),
    (CounterBounds(), '0 does add 1\n0 does read "1"', {"out-of-bounds": 1}),
    (CounterBounds(), f"0 does add 1\n0 does read {2**70}", {"out-of-bounds": 1}),
    (
        LongFork(),
        '0 does txn [["w","x",1]]\n1 does txn [["w","y",1]]\n2 does txn [["r","x",1],["r","y",null]]\n'
        '3 does txn [["r","y",1],["r","x",null],["r","z",null]]',
        {"long-fork": 1},
    ),
    (
        LongFork(),
        '0 fails txn [["w","x",1]]\n2 does txn [["r","x",1],["r","y",null]]\n3 does txn [["r","y",1],["r","x",null]]',
        {"long-fork": 1},
    ),
]


@pytest.mark.parametrize(("checker", "text"), SOUND, ids=lambda each: getattr(each, "name", ""))
def test_sound_history_passes(checker: Checker, text: str) -> None:
    finding = checker.check(History(sketch(text)), deadline_ns(10))
    assert finding.verdict is Verdict.PASS, finding.summary


@pytest.mark.parametrize(("checker", "text", "anomalies"), BROKEN, ids=lambda each: getattr(each, "name", ""))
def test_broken_history_has_exactly_its_anomaly(
    checker: Checker, text: str, anomalies: dict[str, int]
) -> None:
    finding = checker.check(History(sketch(text)), deadline_ns(10))
    assert finding.verdict is Verdict.FAIL
    assert dict(finding.anomalies) == anomalies
    assert finding.evidence


@pytest.mark.parametrize("checker", [each[0] for each in SOUND], ids=lambda each: each.name)
def test_history_without_client_ops_is_a_pass_that_says_so(checker: Checker) -> None:
    finding = checker.check(History(sketch("")), deadline_ns(10))
    assert (finding.verdict, finding.summary) == (Verdict.PASS, "no client operations: nothing to judge")


@pytest.mark.parametrize(
    ("checker", "text", "why"),
    [
        (SetFull(), "0 does add 1", "never read"),
        (Log(), "0 does append 1", "never read"),
        (Bank(), "0 does transfer 1", "never read"),
        (LongFork(), '0 does txn [["w","x",1]]\n0 does txn [["w","x",2]]', "more than once"),
    ],
)
def test_history_that_shows_nothing_is_unknown(checker: Checker, text: str, why: str) -> None:
    finding = checker.check(History(sketch(text)), deadline_ns(10))
    assert finding.verdict is Verdict.UNKNOWN
    assert why in finding.summary


def test_negative_suite_breaks_every_model() -> None:
    from outlast.checkers.linearizable.models import MODELS

    broken = {checker.model for checker, *_ in BROKEN if isinstance(checker, Linearizable)}
    assert broken == set(MODELS)
    assert all(anomalies for *_, anomalies in BROKEN)


def test_sessions_with_versions_that_have_no_order_are_refused() -> None:
    history = History(sketch('0 does write x: "b"\n0 does read x: "a"'))
    with pytest.raises(HistoryError, match=r"op 0 .*versions are integers"):
        SessionGuarantees().check(history, deadline_ns(10))
