"""What a dashboard is made of: rows of panels, and their queries in PromQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["timeseries", "stat", "table", "state-timeline"]


@dataclass(frozen=True, slots=True)
class Query:
    """One query in PromQL. legend: Grafana's template for a series' name."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class DashboardPanel:
    """One panel. unit: Grafana's name for it. width: of 24 columns. sparse: on a healthy, idle cluster it is empty."""

    title: str
    about: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Kind = "timeseries"
    width: int = 12
    sparse: bool = False


@dataclass(frozen=True, slots=True)
class DashboardRow:
    """Panels below one title."""

    title: str
    panels: tuple[DashboardPanel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard. file: its name without .json. system: whose cluster fills it. faults: shown as annotations."""

    file: str
    uid: str
    title: str
    about: str
    system: str
    rows: tuple[DashboardRow, ...]
    faults: bool = True

    def panels(self) -> tuple[DashboardPanel, ...]:
        """Return all panels in order."""
        return tuple(panel for row in self.rows for panel in row.panels)


def one(
    title: str, about: str, expr: str, legend: str = "{{node}}", unit: str = "short", **more: object
) -> DashboardPanel:
    """Return a panel of one query."""
    return DashboardPanel(title, about, (Query(expr, legend),), unit, **more)  # type: ignore[arg-type]


def stat(title: str, about: str, expr: str, unit: str = "short", legend: str = "") -> DashboardPanel:
    """Return a small panel that shows the newest value."""
    return DashboardPanel(title, about, (Query(expr, legend),), unit, "stat", 4)


SUMMARY: Final = (
    stat("Writable nodes", "How many nodes take writes: one, as it should be.", "outlast_writable_nodes"),
    stat(
        "Primary",
        "The node that takes writes, or took them last.",
        "outlast_writable_node_info",
        legend="{{node}}",
    ),
    stat("Nodes up", "Servers that answered the newest look.", "sum(outlast_node_up)"),
    stat("Ready to take over", "Standbys that could be promoted now.", "outlast_failover_ready_nodes"),
    stat("Primary changes", "Times that another node began to take writes.", "outlast_primary_changes_total"),
    stat("Alerts", "Alerts that fire now.", 'count(ALERTS{alertstate="firing"}) or vector(0)'),
)
"""The row that every dashboard of PostgreSQL begins with."""

TIMELINE: Final = one("Timeline", "Timeline each server is on.", "outlast_node_timeline")
REPLAY_LAG: Final = one(
    "Replay lag", "WAL not yet replayed.", "pg_stat_replication_replay_lag_bytes", unit="bytes"
)
REPLAY_LAG_AGE: Final = one(
    "Replay lag, age", "Age of the oldest WAL not yet replayed.", "outlast_node_lag_seconds", unit="s"
)
SYNC_STATE: Final = one(
    "Synchronous state",
    "How the primary counts each standby.",
    "outlast_node_sync_state",
    "{{node}} {{state}}",
)
