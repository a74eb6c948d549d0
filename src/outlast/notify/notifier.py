"""Watches a lab for what a person wants to be told of: another primary, an alert that fires or is resolved."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import psycopg

from outlast.errors import OutlastError
from outlast.history.history import JSON
from outlast.monitoring.exporter.alert_log import ALERTS_FILE, AlertLog
from outlast.monitoring.services import watcher
from outlast.notify.webhook import Sender, receiver
from outlast.systems.base import Cluster, HasPrimary

LOOK_S: Final = 0.5

Tell = Callable[[str, Mapping[str, JSON]], None]
"""Is told of an event: its name and what is to be said of it."""


def nobody(_event: str, _body: Mapping[str, JSON]) -> None:
    """Tell nobody."""


@contextlib.asynccontextmanager
async def notifying(
    cluster: Cluster, about: Mapping[str, JSON], say: Callable[[str], None], hear: Tell = nobody
) -> AsyncIterator[Tell]:
    """Watch a cluster for the length of a with block, and tell the person's receiver; yields how to tell more.

    about: goes into every event. hear: is told of every event too. Without a receiver nothing is watched. It never
    fails, and delays the end by FLUSH_S at most.
    """
    to = receiver()
    if to is None:
        yield nobody
        return
    sender = Sender(to)

    def tell(event: str, body: Mapping[str, JSON]) -> None:
        sender.tell(event, {**about, **body})
        hear(event, body)

    tasks = [asyncio.create_task(watch(cluster, tell)) for watch in (watch_primary, watch_alerts)]
    try:
        yield tell
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        lost = await asyncio.to_thread(sender.close)
        if lost:
            say(f"webhook: {lost}")


async def watch_primary(cluster: Cluster, tell: Tell) -> None:
    """Tell of every node that takes writes after another did."""
    if not isinstance(cluster, HasPrimary):
        return
    last: str | None = None
    while True:
        with contextlib.suppress(OutlastError, psycopg.Error, OSError, TimeoutError):
            now = await cluster.primary()
            if now is not None and last is not None and now != last:
                tell("failover", {"from": last, "to": now})
            last = now or last
        await asyncio.sleep(LOOK_S)


async def watch_alerts(cluster: Cluster, tell: Tell) -> None:
    """Tell of every alert that Alertmanager tells the lab's exporter of."""
    service = watcher(cluster.spec, "exporter")
    if service is None or service.name not in cluster.lab.hosts:
        return
    log = AlertLog(cluster.lab.hosts[service.name].folder / ALERTS_FILE)
    seen = len(log.events())
    while True:
        events = log.events()
        for event in events[seen:]:
            labels: dict[str, JSON] = dict(event.labels)
            annotations: dict[str, JSON] = dict(event.annotations)
            status = "firing" if event.is_firing else "resolved"
            tell(
                "alert", {"alert": event.name, "status": status, "labels": labels, "annotations": annotations}
            )
        seen = len(events)
        await asyncio.sleep(LOOK_S)
