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
    read_committed,
    serializable,
    snapshot_isolated,
    written_by_somebody,
)
from random_histories import object_history, txn_history

from outlast.checkers.base import worst
from outlast.checkers.judge import judge
from outlast.clock import deadline_ns
from outlast.history.history import History
from outlast.history.op import Ops, Outcome

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


def _holds(level: str, txns: list[Txn]) -> bool:
    if level == "read-uncommitted":
        return written_by_somebody(txns)
    if level == "read-committed":
        return read_committed(txns)
    if level == "snapshot-isolation":
        return snapshot_isolated(txns)
    return serializable(txns, strict=level == "strict-serializable")


@pytest.mark.parametrize(
    ("model", "level"),
    [
        ("rw-register", "read-uncommitted"),
        ("rw-register", "read-committed"),
        *(
            (model, level)
            for model in ("rw-register", "list-append")
            for level in ("snapshot-isolation", "repeatable-read", "serializable", "strict-serializable")
        ),
    ],
)
def test_transactions_are_judged_as_brute_force_judges_them(model: str, level: str) -> None:
    failures = 0
    for seed in range(SEED, SEED + HISTORIES):
        ops, txns = txn_history(random.Random(seed), lists=model == "list-append")
        if not ops.outcome_is(Outcome.OK).any():
            continue
        expected = "pass" if _holds(level, txns) else "fail"
        failures += expected == "fail"
        assert verdict(ops, model, level)[0] == expected, (seed, verdict(ops, model, level), txns)
    assert failures < HISTORIES * 19 / 20, "both verdicts were asked for"
