"""Workloads of transactions say what they do, as their checkers read it."""

from __future__ import annotations

import json
from itertools import islice
from random import Random

import pytest

from outlast.checkers.judge import MODELS
from outlast.clock import now_ns
from outlast.config.drill import DrillSpec
from outlast.errors import ConfigError
from outlast.history.op import NONE
from outlast.run.checks import Terms, make_checkers, validate_checks
from outlast.workloads import WORKLOADS, Invocation, Options
from outlast.workloads.base import with_defaults
from outlast.workloads.protocol_client import Routed

TRANSACTIONS = {
    name: workload
    for name, workload in WORKLOADS.items()
    if name in {*MODELS, "bank"} and not isinstance(workload, Routed)
}


def calls(
    name: str, count: int, process: int = 0, *, reads_only: bool = False, **params: int
) -> list[Invocation]:
    workload = WORKLOADS[name]
    options = Options(reads_only, with_defaults(workload, params), now_ns())
    return list(islice(workload.generator(process, Random(7), options), count))


@pytest.mark.parametrize("name", TRANSACTIONS)
def test_a_workload_has_a_table_ops_and_a_checker_that_can_be_made(name: str) -> None:
    workload = WORKLOADS[name]
    assert set(workload.tables) == {f"outlast_{name.replace('-', '_')}"}
    drill = DrillSpec(workload={name: {}})  # type: ignore[dict-item]
    assert len(make_checkers(Terms(drill, 1.0, 0, {}))) == 3 + len(workload.checkers)
    for call in calls(name, 50):
        assert call.txn is not None
        assert call.txn.steps
        assert call.txn.payload is None or json.loads(call.txn.payload)


@pytest.mark.parametrize("name", TRANSACTIONS)
def test_a_reader_never_writes(name: str) -> None:
    for call in calls(name, 50, reads_only=True):
        assert call.txn is not None
        for step in call.txn.steps:
            assert step.sql.startswith(b"SELECT ")
            assert b"pg_is_in_recovery()" in step.sql


def test_micro_ops_are_told_with_what_they_read() -> None:
    call = next(call for call in calls("list-append", 200) if len(call.txn.steps) == 4)  # type: ignore[union-attr]
    assert call.txn is not None
    asked = json.loads(call.txn.payload or "")
    assert all(value is None for f, _, value in asked if f == "r")
    told = json.loads(str(call.txn.told([b"{1,2}", None, b"{}", b"{3}"])))
    for (f, key, value), (f_told, key_told, value_told), read in zip(
        asked, told, ([1, 2], [], [], [3]), strict=True
    ):
        assert (f_told, key_told) == (f, key)
        assert value_told == (read if f == "r" else value)


def test_writes_of_a_transaction_are_in_the_order_of_their_keys() -> None:
    for call in calls("rw-register", 300):
        assert call.txn is not None
        keys = [key for f, key, _ in json.loads(call.txn.payload or "") if f == "w"]
        assert keys == sorted(keys)


@pytest.mark.parametrize("name", ["list-append", "rw-register"])
def test_no_value_is_written_twice(name: str) -> None:
    written = [
        value
        for process in range(5)
        for call in calls(name, 100, process)
        for f, _, value in json.loads(call.txn.payload or "")  # type: ignore[union-attr]
        if f != "r"
    ]
    assert len(set(written)) == len(written) > 500


def test_a_register_tells_nil_a_value_and_a_miss_apart() -> None:
    made = {call.txn.f: call for call in calls("register", 100) if call.txn is not None}
    read, write, cas = (made[f] for f in ("read", "write", "cas"))
    assert (read.txn.told([None]), read.txn.told([b"3"])) == ("[null]", 3)  # type: ignore[union-attr]
    assert write.value != NONE
    expected, _ = json.loads(cas.txn.payload or "")  # type: ignore[union-attr]
    assert cas.txn.told([b"t"]) is None  # type: ignore[union-attr]
    assert cas.txn.told([None]) == f"[{expected}]"  # type: ignore[union-attr]


def test_each_key_of_a_long_fork_is_written_once() -> None:
    written = [
        key
        for process in range(6)
        for call in calls("long-fork", 2000, process, writers=4, slice_ms=1)
        for f, key, _ in json.loads(call.txn.payload or "")  # type: ignore[union-attr]
        if f == "w"
    ]
    assert written
    assert {key % 4 for key in written} == {0, 1, 2, 3}


def test_a_setting_that_a_workload_does_not_know_is_named() -> None:
    with pytest.raises(ConfigError, match=r"workload\.bank\.colour: is no setting"):
        with_defaults(WORKLOADS["bank"], {"colour": 1})
    with pytest.raises(ConfigError, match="whole number"):
        with_defaults(WORKLOADS["bank"], {"readers": "many"})
    assert with_defaults(WORKLOADS["bank"], {"readers": 3})["readers"] == 3


def test_a_drill_of_transactions_has_one_workload() -> None:
    drill = DrillSpec(workload={"bank": {}, "append": {}})  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="a drill to themselves"):
        validate_checks(drill)
