"""The live page in a real browser, over a real cluster: what it shows, what it does, and whom it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from pages import partition_history, serious, stored_run
from program import outlast
from served import Served, serving
from waiting import for_s, until

from outlast.clock import now_ns
from outlast.history.live import FILE, POINTER, Live
from outlast.pace import scaled

pytestmark = pytest.mark.lab

OpenPage = Callable[..., Any]
HOSTILE = "<img src=x onerror=window.bad=1><script>window.bad=1</script>"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    state = tmp_path_factory.mktemp("live")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTLAST_STATE", str(state))
        up = outlast("up", "patroni", "--profile", "fast", "--name", "lab", "--json")
        assert up.code == 0, up.err
        try:
            with serving(state) as one:
                yield one
        finally:
            down = outlast("down", "--all", "--json")
            assert down.json["residue"] == []


@pytest.fixture(autouse=True)
def _shared_state(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTLAST_STATE", str(served.state))


def opened(open_page: OpenPage, served: Served, **given: Any) -> Any:
    page = open_page(f"{served.url}#token={served.token}", **given)
    page.wait_for_selector("html[data-ready]")
    page.wait_for_selector("#whole.good", timeout=scaled(20_000))
    return page


def press(page: Any, button: str) -> None:
    page.get_by_role("button", name=button).first.click()
    page.wait_for_selector("#ask-yes:enabled")
    assert page.locator("#ask-says p").count() > 0  # it has said what it will do
    page.locator("#ask-yes").click()


def test_pressing_switchover_moves_the_primary_of_a_real_cluster(
    open_page: OpenPage, served: Served, axe: str
) -> None:
    page = opened(open_page, served)
    before = served.ask("api/v1/labs/lab")[1]["primary"]
    assert f"{before} leads" in page.locator("#whole").inner_text()
    assert "token" not in page.url
    assert serious(page, axe) == []
    press(page, "Switchover…")
    page.wait_for_selector("#log li:has-text('is primary, on timeline')", timeout=scaled(60_000))
    page.wait_for_selector("#whole.good", timeout=scaled(60_000))
    after = served.ask("api/v1/labs/lab")[1]["primary"]
    assert after != before
    assert f"{after} leads" in page.locator("#whole").inner_text()
    assert page.locator("#nodes tr", has_text=after).locator(".role.primary").count() == 1
    assert page.locator("#topology .primary .name").text_content() == after
    page.wait_for_selector("#jobs li:has-text('done')", timeout=scaled(30_000))


@pytest.mark.alone
def test_a_fault_is_on_screen_within_half_a_second_and_its_links_are_cut(
    open_page: OpenPage, served: Served
) -> None:
    page = opened(open_page, served)
    page.evaluate(
        "new MutationObserver((all) => all.forEach((one) => one.addedNodes.forEach((node) => {"
        " node.dataset.shown = String(Date.now()); }))).observe(document.querySelector('#log'), {childList: true})"
    )
    status, job = served.ask("api/v1/labs/lab/inject", {"fault": "net_partition", "on": "one-standby"})
    assert (status, job["command"]) == (202, "outlast inject --on=one-standby --lab=lab -- net_partition")
    page.wait_for_selector("#log li.fault:has-text('net_partition')", timeout=scaled(30_000))
    (entry,) = (served.state / "labs/lab/injections").glob("*.json")
    shown_ms = float(page.locator("#log li.fault").last.get_attribute("data-shown"))
    assert shown_ms - entry.stat().st_mtime_ns / 1e6 < 500
    page.wait_for_selector("#topology .cut", timeout=scaled(5_000))
    page.wait_for_selector("#links li.cut:has-text('↔')")
    press(page, "Heal…")
    page.wait_for_selector("#log li.heal", timeout=scaled(60_000))
    page.wait_for_selector("#links:empty", state="attached", timeout=scaled(10_000))


def test_a_drill_is_started_watched_and_stopped(open_page: OpenPage, served: Served) -> None:
    page = opened(open_page, served)
    page.get_by_role("button", name="Start a drill…").first.click()
    page.locator("#ask-drill").select_option("postgres-kill")
    page.locator("#ask-on").select_option("lab:lab")
    page.wait_for_selector("#ask-says p:has-text('process_kill on primary')")
    page.wait_for_selector("#ask-yes:enabled")
    page.locator("#ask-yes").click()
    page.wait_for_selector("#run:has-text('load')", timeout=scaled(40_000))
    page.wait_for_selector("#log li.fault:has-text('process_kill')", timeout=scaled(40_000))
    assert int(page.locator("#run-facts dd").first.inner_text().replace(",", "")) > 0
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("#jobs li:has-text('ended with 130')", timeout=scaled(60_000))
    assert served.ask("api/v1/labs/lab")[0] == 200  # the lab was there before, and stays
    assert not list((served.state / "labs/lab/injections").glob("*.json"))


def test_a_wrong_token_is_refused_and_shown_nothing(open_page: OpenPage, served: Served) -> None:
    page = open_page(f"{served.url}#token=not-the-token")
    page.wait_for_selector("#gate-error:has-text('wrong token')")
    assert not page.locator("#house").is_visible()
    assert "pg-node" not in page.content()
    page.locator("#token").fill(served.token)
    page.get_by_role("button", name="Open").click()
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("document.cookie") == ""  # scripts cannot read it
    for headers in (
        {"Authorization": "Bearer wrong"},
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
    ):
        status, answer = served.ask("api/v1/labs/lab/failover", {}, **headers)
        assert status in (401, 403), answer


def test_another_site_in_the_same_browser_can_do_nothing(
    open_page: OpenPage, served: Served, tmp_path: Path
) -> None:
    page = opened(open_page, served)
    other = tmp_path / "evil.html"
    other.write_text(
        f"<form method=post enctype=text/plain action='{served.url}api/v1/labs/lab/heal'>"
        f"<input name='{{\"x\":\"' value='\"}}'></form><iframe id=f src='{served.url}'></iframe>"
        f"<script>fetch('{served.url}api/v1/labs/lab/failover', {{method: 'POST', credentials: 'include', mode:"
        " 'no-cors', body: '{}'}).catch(() => 0); document.forms[0].submit()</script>"
    )
    before = served.ask("api/v1/jobs")[1]["jobs"]
    evil = page.context.new_page()
    with contextlib.suppress(Exception):  # Chromium shows a refusal as an error of its own
        evil.goto(other.as_uri(), timeout=scaled(3_000))
    evil.wait_for_timeout(1000)
    assert served.ask("api/v1/jobs")[1]["jobs"] == before


def test_hostile_text_is_shown_and_never_run(open_page: OpenPage, served: Served) -> None:
    run = served.state / "runs" / "20260101T000000Z-hostile"
    stored_run(run, partition_history(), name=HOSTILE, system=HOSTILE)
    live = Live(run.name, "lab", HOSTILE, "patroni", HOSTILE, now_ns(), duration_s=5.0)
    feed = served.state / "runs" / "20260101T000001Z-live"
    feed.mkdir()
    page = opened(open_page, served)
    (served.state / "labs/lab" / POINTER).write_text(str(feed))

    def is_shown() -> bool:
        """Go on publishing, as a run does: what has been silent for seconds has ended."""
        (feed / FILE).write_text(json.dumps(asdict(replace(live, at_ns=now_ns()))))
        shown = (
            "#runs tr:has-text('onerror')",
            "#run-title:has-text('onerror')",
            "#log li:has-text('onerror')",
        )
        return all(page.locator(place).count() for place in shown)

    until(is_shown, "the run, its title and its place in the log")
    assert page.evaluate("window.bad") is None
    assert page.locator("#house img, #house script").count() == 0
    with page.expect_navigation():
        page.locator("#runs tr", has_text="onerror").get_by_role("link", name="report").click()
    assert "primary-partition" not in page.locator("h1").inner_text()
    assert page.evaluate("window.bad") is None
    (served.state / "labs/lab" / POINTER).unlink()


def test_its_token_is_in_no_log_and_the_port_is_this_machines_alone(served: Served) -> None:
    assert served.token not in served.log.read_text()
    port = served.url.rsplit(":", 1)[1].strip("/")
    listening = Path("/proc/net/tcp").read_text().splitlines()
    mine = [
        line.split()[1]
        for line in listening[1:]
        if line.split()[1].endswith(f":{int(port):04X}") and line.split()[3] == "0A"
    ]
    assert mine == [f"0100007F:{int(port):04X}"]
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            assert served.token.encode() not in (folder / "cmdline").read_bytes()


def test_without_a_token_it_shows_and_does_nothing(served: Served, tmp_path: Path) -> None:
    with serving(served.state, "--no-token") as open_to_all:
        assert open_to_all.token is None
        assert open_to_all.ask("api/v1/labs", Authorization="")[1] == {"labs": ["lab"]}
        status, answer = open_to_all.ask("api/v1/labs/lab/switchover", {}, Authorization="")
        assert (status, "read-only" in answer["error"]) == (403, True)


@pytest.mark.slow
def test_watching_six_nodes_costs_little(
    open_page: OpenPage, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path_factory.mktemp("six")
    monkeypatch.setenv("OUTLAST_STATE", str(state))
    assert (
        outlast("up", "six-node", "--profile", "fast", "--set", "ports={}", "--name", "lab", "--json").code
        == 0
    )
    try:
        with serving(state) as one:
            page = opened(open_page, one)
            page.locator("#whole.good").wait_for()
            before, began = _cpu_s(one.pid), time.monotonic()
            until(for_s(20), "the end of the measurement", 30)
            share = (_cpu_s(one.pid) - before) / (time.monotonic() - began)
            assert page.locator("#whole.good").count() == 1
            print(f"{share:.2%} of a core")
            assert share < 0.02
    finally:
        assert outlast("down", "--all", "--json").json["residue"] == []


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
