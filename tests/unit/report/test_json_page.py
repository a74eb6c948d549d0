"""docs/json.md names every field of the documents that it describes."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from histories import fault, ops, steady

from outlast.checkers.base import Finding, Verdict
from outlast.clusters.service_registry import BalancerView
from outlast.history.history import History
from outlast.history.store import RunDocument
from outlast.report.findings import finding_document
from outlast.report.run_report import run_report
from outlast.systems.base import NodeView, Role, RouteView

PAGE = (Path(__file__).parents[3] / "docs/json.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"[`\"](\w+)[`\"]", PAGE))


def test_every_field_of_a_run_is_named() -> None:
    run = RunDocument(
        name="d", system="patroni", profile="fast", seed=7, replay="", started="", verdict="pass", notes={"soak": {}}
    )  # fmt: skip
    report = run_report(History(ops(steady(0, 2)), faults=(fault(1.0),)), run, Path("store"))
    document = report.to_document()
    assert set(document) <= NAMED
    for inner in ("ops", "outage", "model"):
        part = document[inner]
        assert isinstance(part, dict) and set(part) <= NAMED
    assert isinstance(document["faults"], list)
    (done,) = document["faults"]
    assert isinstance(done, dict) and set(done) <= NAMED
    assert set(finding_document(Finding("x", Verdict.PASS, ""))) <= NAMED


def test_every_field_and_role_of_a_node_a_balancer_and_a_route_is_named() -> None:
    for kind in (NodeView, BalancerView, RouteView):
        assert {one.name for one in fields(kind)} <= NAMED
    assert {str(role) for role in Role} - {"read-only"} <= NAMED
