"""Monitoring on every system: each dashboard's panels on the system that fills it, and every alert fired for real."""

from __future__ import annotations

import contextlib
import json
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from program import outlast
from skips import needs, require
from waiting import until

from outlast.monitoring.grafana.catalogue import DASHBOARDS
from outlast.monitoring.grafana.model import Dashboard
from outlast.pace import scaled
from outlast.systems.programs import missing

pytestmark = [
    pytest.mark.timeout(900),
    needs("prometheus", "prometheus-alertmanager"),
]
NEEDS = {"pg_auto_failover": "pg_autoctl", "haproxy": "haproxy", "pgpool": "pgpool"}
LABS = {"haproxy": "services: [{name: haproxy, kind: haproxy}]"}
PANEL_TIMEOUT_S = 60.0


def lab_file(system: str, folder: Path) -> str:
    """Return what to bring up to fill the dashboard of a system."""
    if system not in LABS:
        return system
    path = folder / "lab.yaml"
    path.write_text(f"system: patroni\nnodes: 3\ndcs: 1\nsync: on\n{LABS[system]}\n")
    return str(path)


def empty_panels(board: Dashboard, port: int) -> list[str]:
    """Return the panels that bring nothing within a while, with their queries. Raises AssertionError for a bad one."""
    waiting = [(panel, query.expr) for panel in board.panels() for query in panel.queries]

    def all_show() -> bool:
        waiting[:] = [(panel, expr) for panel, expr in waiting if not ask(port, expr)]
        return not waiting

    with contextlib.suppress(AssertionError):
        until(all_show, "every panel", PANEL_TIMEOUT_S)
    return [f"{panel.title}: {expr}" for panel, expr in waiting if not panel.sparse]


def ask(port: int, query: str) -> bool:
    url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"
    with urllib.request.urlopen(url, timeout=scaled(5)) as answer:
        found = json.loads(answer.read())
    assert found["status"] == "success", found
    return bool(found["data"]["result"])


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.file)
def test_every_panel_shows_something_on_the_system_it_is_for(board: Dashboard, tmp_path: Path) -> None:
    require(missing(*[NEEDS[board.system]] if board.system in NEEDS else []))
    what = lab_file(board.system, tmp_path)
    up = outlast("up", what, "--with", "monitoring", "--name", "panels", "--set", "ports={}", "--json")
    assert up.code == 0, up.err
    try:
        port = next(
            node["published_port"] for node in up.json["nodes"] if node["name"].startswith("prometheus")
        )
        if board.file == "drill":
            assert outlast("drill", "switchover", "--lab", "panels", "--json").code == 0
        assert empty_panels(board, port) == []
        for healthy in (
            "outlast_node_up",
            "outlast_manager_up",
            "outlast_dcs_quorum",
            "outlast_dcs_member_up",
        ):
            assert not ask(port, f"{healthy} == 0"), healthy
    finally:
        assert outlast("down", "--all", "--json").json["residue"] == []


@pytest.mark.parametrize(
    "system", ["patroni-3dcs", "pg_auto_failover", "streaming", "pgpool", "etcd", "raftlog"]
)
def test_every_alert_fires_on_its_cause_in_time_and_none_without(system: str) -> None:
    require(missing(*[NEEDS[system]] if system in NEEDS else []))
    done = outlast("drill", "alerts", "--system", system, "--profile", "fast", "--json", timeout_s=600)
    assert done.code == 0, done.out or done.err
    rows = done.json["alerts"]
    assert {row["alert"] for row in rows} == {
        one["name"] for one in outlast("ls", "alerts", "--json").json["alerts"]
    }
    tried = [row for row in rows if row["skipped"] is None]
    assert tried
    assert all(row["fired"] and row["delay_s"] <= 15 and row["false_alarms"] == 0 for row in tried)
    if system == "patroni-3dcs":
        assert tried == rows
