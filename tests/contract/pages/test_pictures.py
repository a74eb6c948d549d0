"""The pictures in docs/, of real runs. They are kept when OUTLAST_PICTURES names the folder: docs/pictures."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pages import serious
from program import outlast
from served import serving

from outlast.pace import scaled

pytestmark = [pytest.mark.slow, pytest.mark.lab, pytest.mark.timeout(600)]

CHART_BOTTOM_PX = 40


def picture(page: Any, name: str, folder: Path, until: str | None = None) -> None:
    """Save a page as it is seen, down to an element."""
    page.wait_for_timeout(300)
    kept = Path(os.environ["OUTLAST_PICTURES"]) if "OUTLAST_PICTURES" in os.environ else folder
    kept.mkdir(parents=True, exist_ok=True)
    height = page.evaluate("document.documentElement.scrollHeight")
    if until is not None:
        box = page.locator(until).first.bounding_box()
        height = min(height, box["y"] + box["height"] + CHART_BOTTOM_PX)
    width = page.viewport_size["width"]
    page.screenshot(
        path=kept / f"{name}.png", full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height}
    )


def test_the_report_of_real_runs(
    open_page: Callable[..., Any], axe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = outlast("drill", "primary-partition", "--set", "sync=off", "--json", timeout_s=300).json
    kept = outlast("drill", "primary-partition", "--json", timeout_s=300).json
    quick = outlast("drill", "primary-partition", "--profile", "fast", "--json", timeout_s=300).json
    one, three = tmp_path / "one.html", tmp_path / "three.html"
    assert outlast("report", lost["store"], "--html", str(one)).code == 1
    outlast("report", *(run["store"] for run in (lost, kept, quick)), "--html", str(three))
    page = open_page(one)
    page.wait_for_selector("html[data-operations]")
    told = page.locator("#lost").inner_text()
    assert f"{lost['acked_lost']:,} writes that pg-node-1 acknowledged" in told
    assert "replication was asynchronous" in told
    assert serious(page, axe) == []
    picture(page, "report-light", tmp_path, until="#chart")
    page = open_page(one, scheme="dark")
    page.wait_for_selector("html[data-operations]")
    picture(page, "report-dark", tmp_path, until="#chart")
    page = open_page(one, width=390)
    page.wait_for_selector("html[data-operations]")
    picture(page, "report-phone", tmp_path, until="#chart")
    page = open_page(three)
    picture(page, "compare-light", tmp_path)


def test_the_live_page_while_a_primary_is_cut_off(
    open_page: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path_factory.mktemp("shown")
    monkeypatch.setenv("OUTLAST_STATE", str(state))
    assert outlast("drill", "postgres-kill", "--profile", "fast", "--json").code == 0
    up = outlast("up", "six-node", "--profile", "fast", "--set", "ports={}", "--name", "six-node", "--json")
    assert up.code == 0, up.err
    try:
        with serving(state) as one:
            looks: dict[str, dict[str, Any]] = {
                "live-light": {},
                "live-dark": {"scheme": "dark"},
                "live-phone": {"width": 390},
            }
            pages = {name: open_page(f"{one.url}#token={one.token}", **how) for name, how in looks.items()}
            light = pages["live-light"]
            light.wait_for_selector("#whole.good", timeout=scaled(30_000))
            light.wait_for_timeout(12_000)
            status, _ = one.ask("api/v1/drills", {"drill": "primary-partition", "lab": "six-node"})
            assert status == 202
            light.wait_for_selector("#log li.fault", timeout=scaled(60_000))
            light.wait_for_selector("#topology .cut")
            light.wait_for_timeout(9_000)
            for name, page in pages.items():
                assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
                picture(page, name, state)
            light.wait_for_selector("#run .verdict", timeout=scaled(180_000))
    finally:
        assert outlast("down", "--all", "--json").json["residue"] == []
