"""What a terminal shows of a lab while it is watched: nodes, and of a run its throughput, outage and faults."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from outlast.cli.output import Reporter, Watcher, table
from outlast.clock import now_ns
from outlast.errors import OutlastError
from outlast.faults import journal
from outlast.history.live import Live, read_live
from outlast.report.literal import literal_text
from outlast.systems.base import Cluster, ClusterView

WATCH_S: Final = 1.0
RATES_KEPT: Final = 48
NO_ACK_S: Final = 1.0
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def sparkline(rates: list[float]) -> str:
    """Return rates as a row of blocks, the highest as high as a line; ``·`` where nothing was acknowledged."""
    top = max(rates, default=0.0)
    return "".join(
        "·" if rate <= 0 or not top else _BLOCKS[min(len(_BLOCKS) - 1, int(rate / top * len(_BLOCKS)))]
        for rate in rates
    )


def headline(view: ClusterView, cluster: Cluster) -> str:
    """Return a lab's state in a line."""
    state = "whole" if view.ready else view.missing
    return f"{cluster.lab.name}: {cluster.spec.system}, profile {cluster.spec.profile}, {state}"


def node_table(view: ClusterView) -> Table:
    """Return the nodes as a table."""
    shown = table("node", "role", "state", "timeline", "lag", "sync", "address", "published")
    for node in view.nodes:
        lag = "" if node.lag_bytes is None else f"{node.lag_bytes} B"
        shown.add_row(
            literal_text(node.name),
            node.role,
            literal_text(node.state if node.healthy else f"{node.state} (!)"),
            str(node.timeline or ""),
            lag,
            node.sync or "",
            f"{node.address}:{node.port}",
            f"127.0.0.1:{node.published_port}" if node.published_port else "",
        )
    return shown


class Watched:
    """What is shown of one lab, look by look."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._rates: deque[float] = deque(maxlen=RATES_KEPT)

    async def look(self) -> tuple[str, RenderableType, str]:
        """Return a headline, all that a terminal shows below it, and the words for where nothing is overwritten.

        The words change only when something has happened, not with every figure.
        """
        cluster = self._cluster
        view = await cluster.view()
        live = read_live(cluster.lab.folder)
        if live is not None and not live.is_running:
            live = None
        faults = self._faults()
        parts: list[RenderableType] = [node_table(view)]
        words = [_node_words(view)]
        if live is not None:
            self._rates.append(live.rate_per_s)
            parts += [Text(""), self._run(live)]
            words.append(f"{live.drill}: {live.phase}" + (", NO ACK" if live.outage_s > NO_ACK_S else ""))
        if faults:
            parts += [Text.assemble(("faults    ", "bold"), literal_text("; ".join(faults)))]
            words.append(f"faults: {'; '.join(faults)}")
        return headline(view, cluster), Group(*parts), "; ".join(words)

    def _run(self, live: Live) -> Text:
        out = live.outage_s > NO_ACK_S
        counter = f"{live.outage_s:.1f} s without an ack" if out else "acknowledging"
        return Text.assemble(
            ("run       ", "bold"),
            literal_text(f"{live.drill}: {live.phase}, {live.elapsed_s:.0f} of {live.duration_s:.0f} s\n"),
            ("acks      ", "bold"),
            f"{sparkline(list(self._rates))} {live.rate_per_s:.0f}/s",
            "" if live.p99_ms is None else f", 99 % within {live.p99_ms:.1f} ms",
            f"; {live.ok} ok, {live.fail} refused, {live.info} unknown\n",
            ("outage    ", "bold"),
            (counter, "bold red" if out else ""),
            f", {live.outage_worst_s:.1f} s at most",
        )

    def _faults(self) -> list[str]:
        with contextlib.suppress(OutlastError, OSError):
            return [
                f"{one.injection.fault} on {', '.join(one.injection.targets)}"
                for one in journal.entries(self._cluster.lab)
            ]
        return []


async def watch(cluster: Cluster, end_ns: int | None, show: Watcher) -> None:
    """Show a lab every second until cancelled, or until end_ns."""
    watched = Watched(cluster)
    while True:
        show(*await watched.look())
        if end_ns is not None and now_ns() >= end_ns:
            return
        await asyncio.sleep(WATCH_S)


@contextlib.asynccontextmanager
async def shown_below(cluster: Cluster, progress: Reporter) -> AsyncIterator[None]:
    """Show a lab below the line of progress for the length of a with block; where nothing is overwritten, not."""
    if not progress.is_live:
        yield
        return

    async def show() -> None:
        watched = Watched(cluster)
        while True:
            with contextlib.suppress(OutlastError, OSError):
                _, body, _ = await watched.look()
                progress.show_below(body)
            await asyncio.sleep(WATCH_S)

    task = asyncio.create_task(show())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        progress.show_below(None)


def _node_words(view: ClusterView) -> str:
    return ", ".join(
        f"{node.name} {node.role} {node.state}{'' if node.healthy else ' (!)'}" for node in view.nodes
    )
