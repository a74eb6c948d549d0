"""Patroni as the exporter sees it: is each agent alive, and what do members and leader say in etcd."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Final

from outlast.monitoring.exporter import etcd
from outlast.monitoring.exporter.config import ExporterConfig, ExporterTarget
from outlast.monitoring.exporter.managers.base import LOOK_TIMEOUT_S
from outlast.monitoring.exporter.state import ManagerSample
from outlast.systems import http

REST_PORT: Final = 8008


class PatroniProbe:
    """Asks each agent whether it lives, and etcd for the rest: one read for all members."""

    def __init__(self, config: ExporterConfig) -> None:
        self._config = config

    async def sample(self) -> Mapping[str, ManagerSample]:
        """Return what is known of each node's agent."""
        config = self._config
        alive, stored = await asyncio.gather(
            asyncio.gather(*(_is_alive(node) for node in config.nodes)),
            etcd.get_prefix(config.dcs, f"/service/{config.scope}/", LOOK_TIMEOUT_S),
        )
        keys = stored or {}
        settings = _parsed(keys.get("config"))
        synchronous = _parsed(keys.get("sync"))
        found = {}
        for node, is_alive in zip(config.nodes, alive, strict=True):
            member = _parsed(keys.get(f"members/{node.name}"))
            tags = member.get("tags")
            is_barred = isinstance(tags, dict) and bool(tags.get("nofailover"))
            can = stored is not None and not is_barred and not settings.get("pause")
            if config.sync != "off":
                can = can and node.name in str(synchronous.get("sync_standby") or "").split(",")
            state = str(member.get("state") or ("unknown" if stored is None else "no member"))
            found[node.name] = ManagerSample(is_alive, state, can)
        return found


async def _is_alive(node: ExporterTarget) -> bool:
    """Ask the agent's liveness check: the cheapest of its answers, no query behind it."""
    try:
        answer = await http.request(
            None, (node.address, REST_PORT), "GET", "/liveness", timeout_s=LOOK_TIMEOUT_S
        )
    except OSError:
        return False
    return answer.status == 200


def _parsed(text: str | None) -> dict[str, object]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
