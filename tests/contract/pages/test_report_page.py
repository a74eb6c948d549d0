"""The report in a real browser: it says what the JSON says, shows faults where they were, and runs nobody's text."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from histories import Row
from pages import FAULT_S, HEALED_S, LOST_UNTIL_S, partition_history, serious, single_column, stored_run

from outlast.checkers.judge import judge
from outlast.history.history import JSON, History
from outlast.history.op import Outcome
from outlast.history.store import load_run
from outlast.report.html import write_matrix_page, write_page
from outlast.report.matrix_report import MatrixReport
from outlast.report.run_report import run_report

HOSTILE = "<img src=x onerror=window.bad=1></script><script>window.bad=1</script>\"'onmouseover=window.bad=1"

OpenPage = Callable[..., Any]


def paged(folder: Path, file: Path) -> dict[str, JSON]:
    """Write a stored run's page; returns its document."""
    history, document = load_run(folder)
    write_page(file, [((history, document), folder)])
    return run_report(history, document, folder).to_document()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, JSON]]:
    folder = tmp_path_factory.mktemp("page")
    return folder / "run.html", paged(stored_run(folder / "run", partition_history()), folder / "run.html")


def test_figures_are_the_jsons(open_page: OpenPage, page_file: tuple[Path, dict[str, JSON]]) -> None:
    page = open_page(page_file[0])
    run = page_file[1]
    for name in ("outage_s", "acked_lost", "two_writers_s", "availability", "rejoin_s"):
        assert float(page.locator(f"#figure-{name}").get_attribute("value")) == run[name], name
    assert page.locator("#figure-acked_lost").inner_text() == f"{run['acked_lost']:,}"
    assert run["verdict"] == "fail"
    assert page.locator(".result .verdict").inner_text().split()[-1].lower() == "fail"


def test_a_reader_learns_which_writes_were_lost_when_and_why(
    open_page: OpenPage, page_file: tuple[Path, dict[str, JSON]]
) -> None:
    text = open_page(page_file[0]).locator("#lost").inner_text()
    lost = page_file[1]["acked_lost"]
    assert f"{lost} writes that pg-node-1 acknowledged" in text
    assert f"acknowledged from {FAULT_S:.0f}." in text
    assert "the server waited for no standby: replication was asynchronous" in text
    assert "branched off at" in text


@pytest.mark.parametrize("zoomed", [False, True])
def test_the_band_stands_where_the_fault_was(
    open_page: OpenPage, page_file: tuple[Path, dict[str, JSON]], zoomed: bool
) -> None:
    page = open_page(page_file[0])
    chart = page.locator("#chart-run")
    if zoomed:
        chart.press("+")
        page.wait_for_selector('#chart-run[style*="--zw: 200%"]')
    band, plot = chart.locator(".band").bounding_box(), chart.locator(".axis .canvas").bounding_box()
    end_s = float(chart.get_attribute("data-end"))
    fault = page_file[1]["faults"][0]
    assert fault["at_s"] == FAULT_S
    assert fault["healed_s"] == HEALED_S
    per_s = plot["width"] / end_s
    assert band["x"] == pytest.approx(plot["x"] + FAULT_S * per_s, abs=2)
    assert band["width"] == pytest.approx((HEALED_S - FAULT_S) * per_s, abs=3)


def test_lost_acks_lie_on_the_lane_of_the_node_that_gave_them(
    open_page: OpenPage, page_file: tuple[Path, dict[str, JSON]]
) -> None:
    page = open_page(page_file[0])
    lane = page.locator("#chart-run .lane", has=page.locator(".title", has_text="pg-node-1"))
    bar, plot = (
        lane.locator(".bar.loss").bounding_box(),
        page.locator("#chart-run .axis .canvas").bounding_box(),
    )
    per_s = plot["width"] / float(page.locator("#chart-run").get_attribute("data-end"))
    assert bar["x"] == pytest.approx(plot["x"] + FAULT_S * per_s, abs=3)
    assert bar["x"] + bar["width"] == pytest.approx(plot["x"] + LOST_UNTIL_S * per_s, abs=3)


def test_it_can_be_zoomed_by_mouse_and_keyboard(
    open_page: OpenPage, page_file: tuple[Path, dict[str, JSON]]
) -> None:
    page = open_page(page_file[0])
    page.wait_for_selector("html[data-operations]")
    page.locator("#chart-run").scroll_into_view_if_needed()
    plot = page.locator("#chart-run .panel.throughput .plot").bounding_box()
    page.mouse.move(plot["x"] + plot["width"] * 0.25, plot["y"] + 20)
    page.mouse.down()
    page.mouse.move(plot["x"] + plot["width"] * 0.5, plot["y"] + 20, steps=4)
    assert "refused" in page.locator(".readout").inner_text()
    page.mouse.up()
    page.wait_for_selector('#chart-run[style*="--zw: 4"], #chart-run[style*="--zw: 39"]')
    page.locator("#chart-run").press("0")
    page.wait_for_selector('#chart-run[style*="--zw: 100%"]')


def test_a_single_operation_can_be_found_under_the_pointer(
    open_page: OpenPage, page_file: tuple[Path, dict[str, JSON]]
) -> None:
    page = open_page(page_file[0])
    page.wait_for_selector("html[data-operations]")
    page.get_by_role("button", name="lost writes").click()
    words = page.locator("#chart-run .pick")
    page.locator("#chart-run canvas").scroll_into_view_if_needed()
    box = page.locator("#chart-run canvas").bounding_box()
    for step in range(60):  # clients have a row each: some row under the middle has one
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * step / 60)
        if "LOST" in words.inner_text():
            break
    assert "pg-node-1, timeline 1" in words.inner_text()


def test_nothing_is_asked_of_any_network(
    open_page: OpenPage, page_file: tuple[Path, dict[str, JSON]]
) -> None:
    page = open_page(page_file[0])
    page.wait_for_selector("html[data-operations]")
    assert [url for url in page.asked if not url.startswith("file:")] == []


def test_it_reads_without_scripts(open_page: OpenPage, page_file: tuple[Path, dict[str, JSON]]) -> None:
    page = open_page(page_file[0], java_script_enabled=False)
    assert page.locator("#figure-outage_s").is_visible()
    assert page.locator("#chart-run path.lost").count() == 1
    assert page.locator(".story li").count() > 5
    assert not page.locator(".tools").is_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_serious(
    open_page: OpenPage, axe: str, page_file: tuple[Path, dict[str, JSON]], width: int, scheme: str
) -> None:
    page = open_page(page_file[0], width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert serious(page, axe) == []


def test_on_paper_there_are_no_buttons_and_no_zoom(
    open_page: OpenPage, page_file: tuple[Path, dict[str, JSON]]
) -> None:
    page = open_page(page_file[0])
    page.locator("#chart-run").press("+")
    page.emulate_media(media="print")
    assert page.get_by_role("button").count() == 0
    canvas, plot = (page.locator(f"#chart-run .axis {one}").bounding_box() for one in (".canvas", ".plot"))
    assert canvas["width"] == pytest.approx(plot["width"], abs=1)


def test_the_raw_data_come_out_as_they_went_in(
    open_page: OpenPage, page_file: tuple[Path, dict[str, JSON]]
) -> None:
    page = open_page(page_file[0])

    def saved(name: str) -> str:
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        return Path(download.value.path()).read_text()

    rows = list(csv.DictReader(saved("ops.csv").splitlines()))
    ops = page_file[1]["ops"]
    assert isinstance(ops, dict)
    assert len(rows) == ops["invoked"]
    assert sum(row["fate"] == "lost" for row in rows) == page_file[1]["acked_lost"]
    assert json.loads(saved("run.json"))["outage_s"] == page_file[1]["outage_s"]


def test_hostile_text_is_shown_and_never_run(open_page: OpenPage, tmp_path: Path) -> None:
    history = partition_history(old=HOSTILE)
    ops = replace(history.ops, error=history.ops.error * 0, error_names=(HOSTILE,), f_names=("append",))
    faults = tuple(replace(one, evidence=HOSTILE, params={HOSTILE: HOSTILE}) for one in history.faults)
    folder = stored_run(
        tmp_path / "run",
        replace(history, ops=ops, faults=faults),
        name=HOSTILE,
        system=HOSTILE,
        replay=HOSTILE,
        versions={HOSTILE: HOSTILE},
        cluster={HOSTILE: [{HOSTILE: HOSTILE}]},
    )
    paged(folder, tmp_path / "run.html")
    page = open_page(tmp_path / "run.html")
    page.wait_for_selector("html[data-operations]")
    page.mouse.move(400, 400)
    assert page.evaluate("window.bad") is None
    assert page.locator("img").count() == 0
    assert HOSTILE in page.locator("#lost").inner_text()
    # Even where the escaping to fail, the page's policy runs no script but ours.
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.bad=1>')")
    page.wait_for_timeout(100)
    assert page.evaluate("window.bad") is None


def test_a_cycle_of_transactions_is_drawn(open_page: OpenPage, tmp_path: Path) -> None:
    payloads = [
        '[["append", "x", 1], ["r", "y", []]]',
        '[["append", "y", 1], ["r", "x", []]]',
        '[["r", "x", [1]], ["r", "y", [1]]]',
    ]
    rows = [Row(0, 0.0, 1.0), Row(1, 0.1, 1.0), Row(2, 2.0, 0.1)]
    history = single_column(rows, payloads, "txn", [0, 0, 0])
    folder = stored_run(tmp_path / "run", history, list(judge(history, "list-append", "serializable")))
    paged(folder, tmp_path / "run.html")
    page = open_page(tmp_path / "run.html")
    cycle = page.locator(".cycle").first
    assert cycle.locator("circle").count() == 2
    assert cycle.locator("path.arrow").count() == 2
    assert "rw" in cycle.inner_text()
    assert "T1" in cycle.inner_text()


def test_an_op_that_fits_nowhere_is_drawn_among_the_others(open_page: OpenPage, tmp_path: Path) -> None:
    rows = [Row(1, 0.0, 0.5), Row(2, 1.0, 0.5), Row(1, 2.0, 0.5)]
    history = single_column(rows, ["1", "2", "1"], "write", [0, 0, 0])
    ops = replace(
        history.ops, f_names=("write", "read"), f=np.array([0, 0, 1], dtype=np.int16), payload=["1", "2", "1"]
    )
    history = replace(history, ops=ops)
    findings = list(judge(history, "register"))
    assert findings[0].verdict == "fail"
    paged(stored_run(tmp_path / "run", history, findings), tmp_path / "run.html")
    page = open_page(tmp_path / "run.html")
    culprit = page.locator(".intervals .culprit")
    assert culprit.count() == 1
    assert "read 1 — fits nowhere" in culprit.inner_text()


def test_several_runs_stand_side_by_side(open_page: OpenPage, axe: str, tmp_path: Path) -> None:
    one = stored_run(tmp_path / "one", partition_history())
    good: History = partition_history()
    kept = good.ops.outcome != int(Outcome.FAIL)
    assert kept.any()
    two = stored_run(tmp_path / "two", partition_history(every=0.01), profile="fast")
    runs = [(load_run(folder), folder) for folder in (one, two)]
    write_page(tmp_path / "both.html", runs)
    page = open_page(tmp_path / "both.html")
    for number, ((history, document), folder) in enumerate(runs, 1):
        figures = run_report(history, document, folder).to_document()
        for name in ("outage_s", "acked_lost", "two_writers_s"):
            assert float(page.locator(f"#run-{number}-{name}").get_attribute("value")) == figures[name]
    assert page.locator("#spread .dot").count() >= 6
    assert "profile fast" in page.locator("#runs").inner_text()
    page = open_page(tmp_path / "both.html", width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert serious(page, axe) == []


def test_a_matrix_shows_each_cell_beside_its_model(open_page: OpenPage, axe: str, tmp_path: Path) -> None:
    folder = stored_run(tmp_path / "one", partition_history())
    spread = {"median": 4.5, "min": 4.0, "max": 6.0, "values": [4.0, 4.5, 6.0]}
    cell = {
        "system": "patroni",
        "profile": "default",
        "drill": "postgres-kill",
        "title": "Kill it",
        "sync": "on",
        "verdict": "pass",
        "reason": None,
        "runs": 3,
        "outage_s": spread,
        "rejoin_s": None,
        "acked": 9,
        "acked_lost": 0,
        "two_writers_s": 0.0,
        "within_model": True,
        "replay": "outlast drill x",
        "model": {"outage_s": 9.0, "reason": "9"},
        "stores": [str(folder), "/nowhere/gone"],
    }
    skipped = {**cell, "profile": "fast", "verdict": "skipped", "reason": HOSTILE, "runs": 0, "outage_s": None,
               "model": None, "acked_lost": None, "two_writers_s": None, "stores": []}  # fmt: skip
    matrix = {
        "matrix": "m",
        "verdict": "pass",
        "complete": True,
        "systems": ["patroni"],
        "runs": 3,
        "seed": 1,
        "profiles": ["default", "fast"],
        "names": ["postgres-kill"],
        "replay": "outlast matrix",
        "store": "m",
        "started": "20260102T030405Z",
        "duration_s": 60.0,
        "cells": [cell, skipped],
        "drills": [],
    }
    report = MatrixReport.from_document(matrix)
    write_matrix_page(tmp_path / "matrix.html", report, [(load_run(folder), folder)])
    page = open_page(tmp_path / "matrix.html")
    shown = page.locator(".cells td").first
    assert "4.500 s (4.000 – 6.000)" in shown.inner_text()
    strip, median = shown.locator(".allowed").bounding_box(), shown.locator(".median").bounding_box()
    assert median["x"] == pytest.approx(strip["x"] + strip["width"] / 2, abs=2)
    assert HOSTILE in page.locator(".cells td").nth(1).inner_text()
    assert page.evaluate("window.bad") is None
    assert "1 of its runs are not stored here" in page.locator("main").inner_text()
    assert page.locator("#run-1-acked_lost").count() == 1
    assert serious(page, axe) == []


def test_an_embedded_file_is_gzip_that_any_tool_reads(page_file: tuple[Path, dict[str, JSON]]) -> None:
    import base64
    import re

    text = page_file[0].read_text()
    found = re.search(r'id="raw-run">([^<]+)<', text)
    assert found is not None
    assert json.loads(gzip.decompress(base64.b64decode(found[1])))["drill"] == "primary-partition"
