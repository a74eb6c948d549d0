"""A cluster that is not ours, asked by a user to whom not everything is shown."""

from __future__ import annotations

from dataclasses import replace

from outlast.api.dsn_cluster import _to_view
from outlast.clusters.failover_cost import ExpectedLoss
from outlast.clusters.foreign_cluster import HIDDEN, ForeignCluster
from outlast.systems.base import NodeView, Role

PRIMARY = NodeView("a:1", Role.PRIMARY, "a", 1, None, "running", True)
STANDBY = NodeView("b:1", Role.STANDBY, "b", 1, None, "streaming", True)
UNTOLD = NodeView("walreceiver", Role.STANDBY, "", 0, None, HIDDEN, False)


def look(*nodes: NodeView, missing: str) -> ForeignCluster:
    loss = ExpectedLoss(None, None, None, False, "")
    return ForeignCluster((), not missing, missing, "a:1", nodes, {}, (), {}, None, loss, (), ())


def test_a_standby_that_is_not_shown_to_the_user_is_not_waited_for() -> None:
    view = _to_view(look(PRIMARY, STANDBY, UNTOLD, missing=f"walreceiver is {HIDDEN}"))
    assert (view.ready, view.missing, [node.name for node in view.nodes]) == (True, "", ["a:1", "b:1"])


def test_a_standby_that_answers_is_well_as_far_as_can_be_seen() -> None:
    unsure = replace(STANDBY, state=HIDDEN, healthy=False)
    view = _to_view(look(PRIMARY, unsure, UNTOLD, missing=f"b:1 is {HIDDEN}"))
    assert (view.ready, [node.healthy for node in view.nodes]) == (True, [True, True])


def test_what_is_shown_and_not_well_is_missing_all_the_same() -> None:
    down = replace(STANDBY, state="unreachable", healthy=False)
    assert (
        _to_view(look(PRIMARY, UNTOLD, down, missing=f"walreceiver is {HIDDEN}")).missing
        == "b:1 is unreachable"
    )
    assert _to_view(look(PRIMARY, STANDBY, missing="several servers accept writes: a, b")).ready is False
