"""A watched lab from outside: real Prometheus and Alertmanager, through a failover, and every panel of a dashboard."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from program import command, outlast
from skips import needs
from waiting import until

from outlast.monitoring.grafana.catalogue import DASHBOARDS
from outlast.pace import scaled

pytestmark = [
    pytest.mark.timeout(280),
    needs("prometheus", "prometheus-alertmanager"),
]
SCRAPE_S = 1.0


@pytest.fixture(scope="module")
def _state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watched")


@pytest.fixture(autouse=True)
def _own_state_folder(_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of this file share a state folder, because they share a lab."""
    monkeypatch.setenv("OUTLAST_STATE", str(_state))


@pytest.fixture(scope="module")
def ports(_state: Path) -> Iterator[dict[str, int]]:
    """The published ports of a watched lab, by node."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTLAST_STATE", str(_state))
        up = outlast(
            "up", "patroni", "--profile", "fast", "--with", "monitoring", "--name", "watched", "--json"
        )
        assert up.code == 0, up.err
        yield {node["name"]: node["published_port"] for node in up.json["nodes"]}
        down = outlast("down", "--all", "--json")
        assert down.json["residue"] == [], down.err


def get(port: int, path: str = "/metrics", timeout_s: float = 5.0) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout_s) as answer:
        return str(answer.read().decode())


def ask(port: int, query: str) -> list[dict[str, Any]]:
    answer = json.loads(get(port, f"/api/v1/query?query={urllib.parse.quote(query)}"))
    assert answer["status"] == "success", answer
    return list(answer["data"]["result"])


def test_prometheus_knows_every_standbys_lag_and_status_shows_who_watches(ports: dict[str, int]) -> None:
    series = until(
        lambda: ask(ports["prometheus"], "pg_stat_replication_replay_lag_bytes"), "the standbys' lag", 20
    )
    assert {one["metric"]["node"] for one in series} == {"pg-node-2", "pg-node-3"}
    status = outlast("status", "--json").json
    there = {node["name"]: node for node in status["nodes"] if node["role"] == "exporter"}
    assert set(there) == {"exporter", "prometheus", "alertmanager"}
    assert all(node["healthy"] and node["published_port"] for node in there.values())
    assert f"prometheus: http://127.0.0.1:{ports['prometheus']}" in outlast("status").out
    rules = json.loads(get(ports["prometheus"], "/api/v1/rules"))["data"]["groups"][0]["rules"]
    assert len(rules) == 8
    assert all(rule["health"] in ("ok", "unknown") for rule in rules)
    assert json.loads(get(ports["alertmanager"], "/api/v2/status"))["versionInfo"]
    assert "appuser" not in get(ports["prometheus"], "/api/v1/status/config")


@pytest.mark.slow
def test_a_node_that_hangs_delays_no_other_and_is_told_of(ports: dict[str, int]) -> None:
    hung = outlast("inject", "process_pause", "--on", "pg-node-3", "--set", "process=postgres", "--json")
    assert hung.code == 0, hung.err
    until(lambda: 'outlast_node_up{node="pg-node-3"} 0.0' in get(ports["exporter"]), "the hung node", 10)
    took = []
    for _ in range(20):
        start = time.monotonic()
        text = get(ports["exporter"])
        took.append(time.monotonic() - start)
        assert 'outlast_node_up{node="pg-node-2"} 1.0' in text
        assert 'outlast_node_up{node="pg-node-1"} 1.0' in text
    assert sorted(took)[len(took) // 2] < 0.05, took
    assert outlast("heal", "--json").code == 0


@pytest.mark.slow
def test_the_figures_go_on_through_a_failover(ports: dict[str, int]) -> None:
    """Scraped once a second from outside: never over two scrapes without an answer, and none slow."""
    took: list[float] = []
    missed: list[int] = [0]
    seen: list[str] = []
    stop = threading.Event()

    def scrape() -> None:
        in_a_row = 0
        while not stop.wait(SCRAPE_S):
            start = time.monotonic()
            try:
                text = get(ports["exporter"], timeout_s=SCRAPE_S)
            except OSError:
                text = ""
            took.append(time.monotonic() - start)
            whole = "outlast_writable_lsn_bytes " in text and "pg_stat_replication_replay_lag_bytes{" in text
            in_a_row = 0 if whole else in_a_row + 1
            missed[0] = max(missed[0], in_a_row)
            seen.extend(re.findall(r'outlast_writable_node_info\{node="([^"]+)"\}', text))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        assert outlast("inject", "host_power_off", "--on", "pg-node-1", "--json").code == 0
        until(lambda: seen[-1:] in (["pg-node-2"], ["pg-node-3"]), "another primary", 45)
        assert outlast("heal", "--json").code == 0
    finally:
        stop.set()
        thread.join()
    assert missed[0] <= 2
    took.sort()
    assert took[len(took) // 2] < 0.05, took
    fired = ask(ports["prometheus"], 'count_over_time(ALERTS{alertstate="firing"}[5m])')
    assert {"NoPrimary", "NodeUnhealthy"} <= {one["metric"]["alertname"] for one in fired}


@pytest.mark.slow
def test_every_panel_of_every_dashboard_of_this_system_shows_something(ports: dict[str, int]) -> None:
    """While a drill runs, so that its panels have something to show."""
    boards = [board for board in DASHBOARDS if board.system == "patroni"]
    assert len(boards) == 3
    words = ("drill", "postgres-kill", "--lab", "watched", "--set", "duration=25s", "--json")
    drill = subprocess.Popen(command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for board in boards:
            for panel in board.panels():
                for query in panel.queries:
                    shows = partial(ask, ports["prometheus"], query.expr)
                    until(shows, f"{board.title}: {panel.title}: {query.expr}", 60)
    finally:
        drill.wait(scaled(120))
    with pytest.raises(AssertionError):  # an unknown metric is no error to Prometheus, but it is to us
        until(lambda: ask(ports["prometheus"], "outlast_no_such_metric"), "nothing", 1)


@pytest.mark.slow
def test_failovers_alerts_and_the_verdict_are_posted_and_signed(
    ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[tuple[str, bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.headers["X-Outlast-Signature"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    monkeypatch.setenv("OUTLAST_WEBHOOK_SECRET", "quiet")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    watching = subprocess.Popen(command("notify", url, "--lab", "watched"), stdout=subprocess.DEVNULL)
    try:
        assert outlast("heal", "--json").code == 0
        until(lambda: got, "word that the lab is watched", 20)
        words = ("--on", "one-standby", "--set", "process=postgres", "--json")
        assert outlast("inject", "process_pause", *words).code == 0
        until(lambda: [one for one in posted(got) if one["event"] == "alert"], "an alert", 30)
        assert outlast("heal", "--json").code == 0
        drill = outlast("drill", "switchover", "--lab", "watched", "--webhook", url, "--json")
        assert drill.code == 0, drill.err
    finally:
        watching.terminate()
        watching.wait(scaled(20))
        server.shutdown()
        server.server_close()
    events = posted(got)
    alert = next(one for one in events if one["event"] == "alert")
    assert (alert["alert"], alert["status"], alert["lab"]) == ("NodeUnhealthy", "firing", "watched")
    failover = next(one for one in events if one["event"] == "failover")
    assert failover["from"] != failover["to"]
    (verdict,) = (one for one in events if one["event"] == "verdict")
    assert (verdict["verdict"], verdict["drill"]) == ("pass", "switchover")
    for signature, body in got:
        assert signature == "sha256=" + hmac.new(b"quiet", body, hashlib.sha256).hexdigest()


def posted(got: list[tuple[str, bytes]]) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in got]
