"""The dashboards' structure; that their queries bring something is tests/e2e/test_monitoring.py's to show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from outlast.errors import UnavailableError
from outlast.monitoring.grafana.catalogue import DASHBOARDS
from outlast.monitoring.grafana.export import dashboard_json, write_all
from outlast.monitoring.grafana.model import Dashboard

UNITS = {"short", "bytes", "s", "ops", "cps", "Bps", "percentunit"}
FIELDS = {
    "datasource", "description", "fieldConfig", "gridPos", "id", "options", "repeatDirection", "targets", "title",
    "transformations", "transparent", "type",
}  # fmt: skip


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.file)
def test_the_shipped_json_is_what_the_catalogue_says(board: Dashboard) -> None:
    from outlast.monitoring.grafana import build

    assert dashboard_json(board.file) == build.grafana_json(board), (
        "python -m outlast.monitoring.grafana.build"
    )


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.file)
def test_every_dashboard_is_whole(board: Dashboard) -> None:
    document = json.loads(dashboard_json(board.file))
    assert (document["title"], document["uid"]) == (board.title, board.uid)
    assert re.fullmatch(r"[a-z0-9-]{1,40}", document["uid"])
    assert document["schemaVersion"] >= 36
    (variable,) = document["templating"]["list"]
    assert (variable["type"], variable["query"], variable["name"]) == (
        "datasource",
        "prometheus",
        "datasource",
    )
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)
    assert min(ids) > 0
    titles = [panel["title"] for panel in document["panels"]]
    assert len(set(titles)) == len(titles), "two panels of one name"
    for panel in document["panels"]:
        check_panel(panel)
    check_places(document["panels"])
    (faults,) = document["annotations"]["list"]
    assert faults["expr"] and faults["datasource"]["uid"] == "${datasource}"


def check_panel(panel: dict[str, Any]) -> None:
    if panel["type"] == "row":
        assert panel["gridPos"]["w"] == 24
        return
    assert set(panel) <= FIELDS, set(panel) - FIELDS
    assert panel["type"] in {"timeseries", "stat", "state-timeline", "table"}
    assert panel["description"].endswith((".", "…")), panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == list("ABCDEF"[: len(letters)])
    for target in panel["targets"]:
        assert target["expr"].strip() == target["expr"] != ""
        assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def check_places(panels: list[dict[str, Any]]) -> None:
    """No panel lies over another or outside of Grafana's 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_a_panel_over_another_is_seen() -> None:
    panels = json.loads(dashboard_json("cluster"))["panels"]
    panels[2]["gridPos"] = dict(panels[1]["gridPos"])
    with pytest.raises(AssertionError):
        check_places(panels)


def test_those_that_are_asked_for_are_there() -> None:
    known = {board.title: board.uid for board in DASHBOARDS}
    assert "PostgreSQL HA Cluster Dashboard" in known
    assert known["PostgreSQL HA - Read/Write Load Analysis"] == "bd3226d1-9fb2-48f6-aa6d-050f98c098fe"
    assert len(set(known.values())) == len(DASHBOARDS)


def test_they_are_written_with_what_makes_a_grafana_load_them(tmp_path: Path) -> None:
    written = write_all(tmp_path / "grafana", "http://prometheus:9090")
    assert all(path.is_file() for path in written)
    provider = json.loads((tmp_path / "grafana/provisioning/dashboards/outlast.yaml").read_text())
    folder = Path(provider["providers"][0]["options"]["path"])
    assert {path.stem for path in folder.glob("*.json")} == {board.file for board in DASHBOARDS}
    source = json.loads((tmp_path / "grafana/provisioning/datasources/outlast.yaml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot write"):
        write_all(tmp_path / "file", "http://h")
