"""What a terminal shows of a lab: short, plain where nothing can be overwritten, new words only for news."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from outlast.cli.live_view import Watched, sparkline, watch
from outlast.cli.output import Watcher
from outlast.clock import now_ns
from outlast.faults import journal
from outlast.faults.base import Injection
from outlast.history.live import FILE, Live
from outlast.systems.base import ClusterView, NodeView, Role

NODE = NodeView("n1", Role.PRIMARY, "10.0.0.1", 5432, None, "running", True, timeline=1)


class FakeCluster:
    """One node, which shows what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.lab: Any = SimpleNamespace(name="lab", folder=folder)
        self.spec: Any = SimpleNamespace(system="patroni", profile="fast")
        self.shown = ClusterView(True, "n1", (NODE,))

    async def view(self) -> ClusterView:
        return self.shown


def live(folder: Path, **given: Any) -> None:
    found = Live("r", "lab", "power", "patroni", "load", now_ns(), 3.0, 10.0, ok=500, rate_per_s=100.0)
    (folder / FILE).write_text(json.dumps(asdict(replace(found, **given))))


def drawn(body: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(body)
    return out.getvalue()


def test_a_sparkline_is_as_high_as_its_highest_and_shows_silence() -> None:
    assert sparkline([]) == ""
    assert sparkline([0.0, 0.0]) == "··"
    assert sparkline([100.0, 50.0, 0.0, 1.0]) == "█▅·▁"


async def test_a_run_shows_throughput_outage_and_faults(tmp_path: Path) -> None:
    watched = Watched(FakeCluster(tmp_path))  # type: ignore[arg-type]
    live(tmp_path, outage_s=2.5, outage_worst_s=4.0, p99_ms=12.0)
    journal.note(SimpleNamespace(folder=tmp_path), Injection("net_delay", ("n1",)))
    head, body, words = await watched.look()
    text = drawn(body)
    assert head == "lab: patroni, profile fast, whole"
    assert "█ 100/s, 99 % within 12.0 ms; 500 ok" in text
    assert "2.5 s without an ack, 4.0 s at most" in text
    assert "net_delay on n1" in text
    assert words == "n1 primary running; power: load, NO ACK; faults: net_delay on n1"


async def test_figures_alone_are_no_news(tmp_path: Path) -> None:
    watched = Watched(FakeCluster(tmp_path))  # type: ignore[arg-type]
    live(tmp_path)
    _, _, before = await watched.look()
    live(tmp_path, ok=600, rate_per_s=90.0, elapsed_s=4.0)
    assert (await watched.look())[2] == before


async def test_a_run_that_has_ended_is_not_shown(tmp_path: Path) -> None:
    watched = Watched(FakeCluster(tmp_path))  # type: ignore[arg-type]
    live(tmp_path, verdict="pass")
    assert "acks" not in drawn((await watched.look())[1])


async def test_where_nothing_is_overwritten_there_is_one_line_a_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = FakeCluster(tmp_path)
    with Watcher(Console(file=io.StringIO())) as show:
        await watch(cluster, now_ns() - 1, show)  # type: ignore[arg-type]
        await watch(cluster, now_ns() - 1, show)  # type: ignore[arg-type]
        cluster.shown = ClusterView(
            False, None, (replace(NODE, role=Role.STANDBY, state="[bold]x"),), missing="no primary"
        )
        await watch(cluster, now_ns() - 1, show)  # type: ignore[arg-type]
    assert capsys.readouterr().out.splitlines() == [
        "lab: patroni, profile fast, whole; n1 primary running",
        "lab: patroni, profile fast, no primary; n1 standby [bold]x",
    ]
