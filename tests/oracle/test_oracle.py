"""The checkers say of small random histories what brute force from the definitions says.

OUTLAST_ORACLE_HISTORIES: how many of each model, 2,000 without it; ``make proof`` takes 100,000.
OUTLAST_ORACLE_SEED: the first history's seed.
"""

from __future__ import annotations

import os
import random

import pytest
from definitions import (
    OBJECTS,
    Txn,
    linearizable,
    serializable,
    snapshot_isolated,
)
from random_histories import object_history, txn_history
from weak_levels import holds

from outlast.checkers.base import worst
from outlast.checkers.judge import judge
from outlast.checkers.transactions.check import ListAppend, RwRegister
from outlast.checkers.transactions.consistency import LEVELS
from outlast.clock import deadline_ns
from outlast.history.history import History
from outlast.history.op import Ops, Outcome
from outlast.history.txn import transactions

HISTORIES = int(os.environ.get("OUTLAST_ORACLE_HISTORIES", "2000"))
SEED = int(os.environ.get("OUTLAST_ORACLE_SEED", "0"))


def verdict(ops: Ops, model: str, level: str = "strict-serializable") -> tuple[str, str]:
    findings = judge(History(ops), model, level, deadline=deadline_ns(30))
    return str(worst(finding.verdict for finding in findings)), "; ".join(
        finding.summary for finding in findings
    )


@pytest.mark.parametrize("model", sorted(OBJECTS))
def test_objects_are_judged_as_brute_force_judges_them(model: str) -> None:
    failures = 0
    for seed in range(SEED, SEED + HISTORIES):
        ops, calls = object_history(model, random.Random(seed))
        if not any(call.ok and (call.f == "read" or model != "set") for call in calls):
            continue  # nothing acknowledged, or a set that was never read: no verdict
        expected = "pass" if linearizable(model, calls) else "fail"
        failures += expected == "fail"
        assert verdict(ops, model)[0] == expected, (seed, verdict(ops, model), calls)
    assert HISTORIES / 20 < failures < HISTORIES * 19 / 20, "both verdicts were asked for"


def _holds(level: str, txns: list[Txn], *, lists: bool) -> bool | None:
    order = "session" if level.startswith("strong-session-") else "real" if level.startswith("str") else ""
    if level.endswith("snapshot-isolation"):
        return snapshot_isolated(txns, order)
    if level.endswith("serializable") or level == "repeatable-read":
        return serializable(txns, order)
    return holds(level, txns, lists=lists)


@pytest.mark.parametrize("model", ["list-append", "rw-register"])
@pytest.mark.parametrize("level", LEVELS)
def test_transactions_are_judged_as_brute_force_judges_them(model: str, level: str) -> None:
    failures = undecided = 0
    lists = model == "list-append"
    checker = ListAppend(level) if lists else RwRegister(level)
    for seed in range(SEED, SEED + HISTORIES):
        ops, txns = txn_history(random.Random(seed), lists=lists)
        expected = _holds(level, txns, lists=lists)
        if expected is None or not ops.outcome_is(Outcome.OK).any():
            continue
        failures += not expected
        finding = checker.judge(transactions(ops, lists=lists), deadline_ns(30))
        undecided += finding.verdict == "unknown"  # a search that gave up claims nothing
        assert finding.verdict in ("pass" if expected else "fail", "unknown"), (seed, finding, txns)
    assert undecided <= HISTORIES / 500, "searches give up"
    assert failures < HISTORIES * 19 / 20, "both verdicts were asked for"
