"""The front door judges every model, names what it does not know, and never crashes on a strange history."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.checkers.base import worst
from outlast.checkers.judge import CONSISTENCIES, MODELS, judge
from outlast.clock import deadline_ns
from outlast.errors import ConfigError, HistoryError
from outlast.history.formats.jepsen_edn import read_jepsen_edn
from outlast.history.history import JSON, History
from outlast.history.sketch import sketch


def test_models_and_levels_are_those_of_the_command_line() -> None:
    linear = {"register", "cas-register", "multi-register", "kv", "mutex", "queue", "counter", "set"}
    linear |= {"stack", "owner-mutex", "reentrant-mutex", "semaphore"}
    assert set(MODELS) == linear | {"bank", "log", "list-append", "rw-register", "long-fork"} | {
        "sessions",
        "unique-ids",
        "etcd",
        "kafka",
        "comments",
        "sequential",
    }
    assert CONSISTENCIES[0] == "strict-serializable"
    assert CONSISTENCIES[-1] == "read-uncommitted"


@pytest.mark.parametrize("model", MODELS)
def test_history_of_a_nemesis_alone_passes_every_model(model: str) -> None:
    ops = read_jepsen_edn("[{:process :nemesis :type :info :f :start :value nil}]")
    findings = judge(History(ops), model, deadline=deadline_ns(10))
    assert worst(finding.verdict for finding in findings) == "pass"
    assert all("no client operations" in finding.summary for finding in findings)


@pytest.mark.parametrize("consistency", CONSISTENCIES)
def test_every_level_is_taken(consistency: str) -> None:
    history = History(sketch('0 does txn [["append",1,1]]'))
    (finding,) = judge(history, "list-append", consistency, deadline=deadline_ns(10))
    assert finding.verdict == "pass"
    assert finding.elapsed_s > 0


def test_unknown_names_are_refused() -> None:
    history = History(sketch(""))
    with pytest.raises(ConfigError, match="no model heap"):
        judge(history, "heap", deadline=deadline_ns(10))
    with pytest.raises(ConfigError, match="no consistency eventual"):
        judge(history, "register", "eventual", deadline=deadline_ns(10))


def test_weaker_consistency_asks_a_set_only_for_what_is_lost() -> None:
    stale = History(sketch("0 does add 1\n0 does read []\n0 does read [1]"))
    strict = judge(stale, "set", deadline=deadline_ns(10))
    assert [finding.verdict for finding in strict] == ["fail", "fail"]
    (weak,) = judge(stale, "set", "serializable", deadline=deadline_ns(10))
    assert (weak.verdict, dict(weak.anomalies)) == ("pass", {"stale": 1})


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("cas-register", "0 does cas 1"),
        ("counter", '0 does add "one"'),
        ("multi-register", "0 does txn 7"),
        ("bank", "0 does read 7"),
        ("set", "0 does add 1\n0 does read 7"),
        ("log", "0 does append 1\n0 does read 7"),
        ("list-append", "0 does txn [7]"),
        ("rw-register", '0 does txn [["x",1,2]]'),
    ],
)
def test_value_that_a_model_cannot_take_is_refused(model: str, text: str) -> None:
    with pytest.raises(HistoryError):
        judge(History(sketch(text)), model, deadline=deadline_ns(10))


def test_nothing_acknowledged_is_never_a_pass() -> None:
    for model, text in (
        ("list-append", '0 maybe txn [["append",1,1]]\n1 fails txn [["r",1,null]]'),
        ("register", "0 maybe write 1\n1 fails write 2"),
        ("queue", "0 maybe enqueue 1"),
    ):
        findings = judge(History(sketch(text)), model, deadline=deadline_ns(10))
        assert worst(finding.verdict for finding in findings) == "invalid"
        assert "nothing was acknowledged" in findings[0].summary


@pytest.mark.parametrize(
    ("model", "text", "initial"),
    [
        ("register", "0 does read 0\n0 does write 3", 0),
        ("cas-register", "0 does cas [false,3]\n0 does read 3", False),
        ("counter", "0 does add 1\n0 does read 8", 7),
        ("rw-register", '0 does txn [["w","x",1]]\n1 does txn [["r","y",0],["r","x",1]]', 0),
    ],
)
def test_a_history_may_begin_with_another_value(model: str, text: str, initial: JSON) -> None:
    history = History(sketch(text))
    plain = judge(history, model, deadline=deadline_ns(10))
    given = judge(history, model, deadline=deadline_ns(10), initial=initial)
    assert worst(finding.verdict for finding in plain) == "fail"
    assert worst(finding.verdict for finding in given) == "pass"


def test_an_initial_value_is_refused_where_there_is_none() -> None:
    with pytest.raises(ConfigError, match="a mutex has no initial value"):
        judge(History(sketch("")), "mutex", initial=1)


def test_a_search_without_end_leaves_the_cheap_checker_its_time() -> None:
    adds = "\n".join(f"{process} invoke add {process}" for process in range(2, 24))
    history = History(sketch(f"0 does add 0\n{adds}\n0 does read [0]\n0 does read []\n1 does read [0,99]"))
    cheap, search = judge(history, "set", deadline=deadline_ns(0.4))
    assert (cheap.name, cheap.verdict) == ("set_full", "fail")
    assert search.name == "linearizable"


def test_findings_are_json() -> None:
    history = History(sketch('0 does txn [["append","x",1]]\n1 does txn [["r","x",[]]]'))
    for finding in judge(history, "list-append", deadline=deadline_ns(10)):
        json.dumps([[each.message, each.ops, dict(each.details)] for each in finding.evidence])
        json.dumps(dict(finding.anomalies))


EXAMPLES = 300
_VALUES = st.recursive(
    st.none() | st.integers(-3, 3) | st.text("ab", max_size=2) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=1), inner, max_size=2),
    max_leaves=6,
)
_FUNCTIONS = ["read", "write", "cas", "add", "txn", "append", "get", "enqueue", "dequeue", "drain", "acquire"]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(_FUNCTIONS), _VALUES, st.sampled_from(["does", "fails", "maybe"])),
        max_size=6,
    ),
    st.sampled_from(MODELS),
)
def test_strange_values_are_judged_or_refused_never_a_crash(
    events: list[tuple[str, object, str]], model: str
) -> None:
    text = "\n".join(f"{i} {how} {f} {json.dumps(v)}" for i, (f, v, how) in enumerate(events))
    try:
        findings = judge(History(sketch(text)), model, deadline=deadline_ns(5))
    except HistoryError:
        return
    assert not any("crashed" in finding.summary for finding in findings), findings
