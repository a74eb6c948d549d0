"""Anomalies stand in reports with what they mean, and beside a pass with the sentence that they are allowed."""

from __future__ import annotations

import pytest

from outlast.checkers.transactions.check import ListAppend
from outlast.clock import deadline_ns
from outlast.history.history import History
from outlast.history.sketch import sketch
from outlast.report.findings import CheckResult

SKEW = '0 invoke txn\n1 invoke txn\n0 ok txn [["r","x",[]],["append","y",1]]\n1 ok txn [["r","y",[]],["append","x",2]]'


@pytest.mark.parametrize(
    ("level", "allowed"),
    [("snapshot-isolation", "all of them are allowed at snapshot-isolation"), ("serializable", "")],
)
def test_anomalies_are_explained_and_those_of_a_pass_are_said_to_be_allowed(level: str, allowed: str) -> None:
    result = CheckResult.of(ListAppend(level).check(History(sketch(SKEW)), deadline_ns(20)))
    document = result.to_document()
    assert result.allowed == allowed
    assert document["consistency"] == level
    explained = document["explained"]
    assert isinstance(explained, dict)
    assert str(explained["G2-item"]).startswith("write skew")
    assert CheckResult.from_document(document) == result
