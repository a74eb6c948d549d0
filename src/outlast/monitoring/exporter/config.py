"""What the exporter is told, as one JSON file on its host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

FILE: Final = "exporter.json"
PORT: Final = 9187
SAMPLE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class ExporterTarget:
    """A node, a member of the consensus store or a monitor, where the exporter finds it in the lab."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class ExporterConfig:
    """All that the exporter needs to know.

    nodes: PostgreSQL servers. candidates: those that may become primary. dcs: members of etcd or raftlog. monitor:
    pg_auto_failover's; balancer: Pgpool-II, and the user who is its client; None for what there is not. user,
    passfile: the exporter's own role, which may look and nothing else. sync: as in the cluster's specification.
    sample_s: how often each node is asked.
    """

    lab: str
    system: str
    scope: str
    address: str
    port: int
    nodes: tuple[ExporterTarget, ...]
    candidates: tuple[str, ...]
    dcs: tuple[ExporterTarget, ...]
    monitor: ExporterTarget | None
    monitor_database: str
    monitor_user: str
    balancer: ExporterTarget | None
    balancer_user: str
    database: str
    user: str
    passfile: str
    sync: str
    sample_s: float = SAMPLE_S

    def to_json(self) -> bytes:
        """Return it as the exporter's file holds it."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def load(cls, path: Path) -> ExporterConfig:
        """Read it. Raises OSError, ValueError, TypeError: our own deploy wrote it."""
        raw = json.loads(path.read_text())
        for group in ("nodes", "dcs"):
            raw[group] = tuple(_target(one) for one in raw[group])
        raw["candidates"] = tuple(raw["candidates"])
        for one in ("monitor", "balancer"):
            raw[one] = _target(raw[one]) if raw[one] else None
        return cls(**raw)


def _target(raw: Mapping[str, object]) -> ExporterTarget:
    return ExporterTarget(str(raw["name"]), str(raw["address"]), int(str(raw["port"])))
