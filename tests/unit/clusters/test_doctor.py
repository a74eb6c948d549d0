"""The doctor's three answers: well, ill, could not look."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from outlast.clusters import cluster_checks, service_checks
from outlast.clusters.cluster_checks import EXAMINATIONS, examine
from outlast.clusters.diagnosis import CheckState, Diagnosis, is_well
from outlast.config.cluster import ServiceSpec
from outlast.systems.base import ClusterView, NodeView, Role


def node(name: str, role: Role, *, lsn: int | None = 1, state: str = "running") -> NodeView:
    return NodeView(name, role, "172.28.0.11", 5432, None, state, lsn is not None, lsn=lsn)


class _Servers:
    """A cluster whose servers do not answer, or do. paused: whether replay is."""

    def __init__(self, view: ClusterView, *, answers: bool = False) -> None:
        self._view = view
        self._answers = answers

    async def view(self) -> ClusterView:
        return self._view

    async def connect(self, node: str, **_options: object) -> Any:
        if not self._answers:
            raise TimeoutError(f"{node} does not answer")
        return _Session()


class _Session:
    async def __aenter__(self) -> _Session:
        return self

    async def __aexit__(self, *_error: object) -> None: ...

    async def execute(self, _statement: object) -> _Session:
        return self

    async def fetchone(self) -> tuple[bool]:
        return (False,)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_checks, "STALL_LOOK_S", 0.0)


async def states(cluster: _Servers, check: str) -> list[CheckState]:
    return [state for state, _said, _remedy in await EXAMINATIONS[check](cluster, await cluster.view())]  # type: ignore[arg-type]


@pytest.mark.parametrize("check", ["replication", "same data"])
async def test_without_a_primary_nobody_can_say_who_follows_or_holds_the_same(check: str) -> None:
    view = ClusterView(False, None, (node("n1", Role.STANDBY), node("n2", Role.STANDBY)))
    assert await states(_Servers(view), check) == [CheckState.UNSEEN]


async def test_a_standby_that_does_not_answer_was_not_looked_at() -> None:
    view = ClusterView(False, "n1", (node("n1", Role.PRIMARY), node("n2", Role.STANDBY, lsn=None)))
    assert await states(_Servers(view), "replication") == [CheckState.UNSEEN]
    view = ClusterView(True, "n1", (node("n1", Role.PRIMARY), node("n2", Role.STANDBY)))
    assert await states(_Servers(view), "replication") == [CheckState.UNSEEN]


@pytest.mark.parametrize(
    ("state", "answer"),
    [("unknown", CheckState.UNSEEN), ("not known", CheckState.UNSEEN), ("stopped", CheckState.BAD)],
)
async def test_a_state_that_is_not_known_is_no_standby_that_does_not_stream(
    state: str, answer: CheckState
) -> None:
    view = ClusterView(True, "n1", (node("n1", Role.PRIMARY), node("n2", Role.STANDBY, state=state)))
    assert await states(_Servers(view, answers=True), "replication") == [answer]


async def test_an_examination_that_fails_has_found_nothing_well(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(_cluster: object, _view: object) -> list[Any]:
        raise OSError("no route to host")

    monkeypatch.setattr(cluster_checks, "EXAMINATIONS", {"archive": fails})
    (found,) = await examine(_Servers(ClusterView(True, None, ())))  # type: ignore[arg-type]
    assert (found.state, found.said) == (CheckState.UNSEEN, "could not look: no route to host")
    assert not is_well([found])
    assert is_well([Diagnosis("archive", CheckState.OK, "nothing is wrong")])


async def test_dashboards_are_not_well_while_prometheus_is_off() -> None:
    service = ServiceSpec(name="prometheus", kind="prometheus")
    lab = SimpleNamespace(hosts={"prometheus": SimpleNamespace(is_on=False)})
    cluster: Any = SimpleNamespace(spec=SimpleNamespace(services=(service,)), lab=lab)
    ((state, said, remedy),) = await service_checks.dashboards(cluster, ClusterView(True, None, ()))
    assert (state, remedy) == (CheckState.BAD, "outlast heal")
    assert "is off" in said
