"""Suite ``checklist``: bootstrap, failover, rejoin, monitoring: what to see before a cluster is trusted.

Source: requirement B19.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from outlast.checkers.base import Finding
from outlast.clock import now_ns
from outlast.errors import ClusterError, UnavailableError
from outlast.monitoring.prometheus import PORT as PROMETHEUS_PORT
from outlast.suites import healthcare_checks, toolkit
from outlast.suites.suite import Stage, SuiteCheck, expect
from outlast.suites.toolkit import FAILOVER_S_MAX, injected, within_limit
from outlast.systems import http
from outlast.systems.base import Role
from outlast.systems.programs import missing
from outlast.systems.wait import wait_for

TITLE: Final = "Bootstrap, failover, rejoin, monitoring: what to see before a cluster is trusted"
SETTINGS: Final = ("dataset=healthcare",)
WATCHED: Final = True

SCRAPE_TIMEOUT_S: Final = 30.0
REJOIN_S_MAX: Final = 60.0


async def _bootstrap(stage: Stage) -> Sequence[Finding]:
    view = await stage.cluster.view()
    ill = [f"{node.name} is {node.state}" for node in view.nodes if not node.healthy]
    found = [expect("nodes", not ill, "; ".join(ill) or f"{len(view.nodes)} nodes are healthy", len(ill), 0)]
    return [*found, *await healthcare_checks.health(stage)]


async def _failover_and_rejoin(stage: Stage) -> Sequence[Finding]:
    old = await toolkit.primary(stage)
    began = now_ns()
    async with injected(stage, "process_stop", (old,), process="manager"):
        new, took_s = await toolkit.new_primary(
            stage, old, began, stage.cluster.model.outage_s + FAILOVER_S_MAX
        )
        followed = await _until_primary(stage, new)
    rejoin_s = await toolkit.whole(stage)
    back = (await stage.cluster.view()).node(old)
    return [
        toolkit.failover_finding(stage, took_s, f"{new} took a write after {old} was stopped"),
        expect("monitoring_followed", not followed, followed or f"Prometheus shows that {new} takes writes"),
        within_limit("rejoin_s", rejoin_s, REJOIN_S_MAX, f"{old} is back as {back.role} after", unit=" s"),
        expect("rejoined_as_standby", back.role is not Role.PRIMARY, f"{old} is {back.role}", str(back.role)),
        await toolkit.replicas_equal(stage),
    ]


async def _monitoring(stage: Stage) -> Sequence[Finding]:
    nodes = [node.name for node in stage.cluster.spec.nodes]

    async def unseen() -> str:
        up = await _query(stage, "outlast_node_up == 1")
        return "" if set(up) >= set(nodes) else f"Prometheus has {', '.join(sorted(up)) or 'nobody'} as up"

    seconds = await wait_for(unseen, SCRAPE_TIMEOUT_S, "Prometheus to see every node up")
    lags = await _query(stage, "outlast_node_lag_bytes")
    targets = await _query(stage, "up", label="instance")
    down = sorted(name for name, value in targets.items() if value != 1)
    writable = [name for name, value in (await _query(stage, "outlast_node_writable")).items() if value == 1]
    leads = await toolkit.primary(stage)
    return [
        within_limit(
            "seen_s", round(seconds, 3), SCRAPE_TIMEOUT_S, "Prometheus shows every node up after", unit=" s"
        ),
        expect(
            "targets",
            not down,
            f"{len(targets) - len(down)} of {len(targets)} targets are scraped",
            len(down),
            0,
        ),
        expect("primary", writable == [leads], f"Prometheus shows that {', '.join(writable)} takes writes"),
        within_limit("lag_metrics", len(lags), len(nodes) - 1, "nodes with a lag in bytes", at_least=True),
    ]


async def _until_primary(stage: Stage, name: str) -> str:
    last = ""

    async def unseen() -> str:
        nonlocal last
        found = [node for node, value in (await _query(stage, "outlast_node_writable")).items() if value == 1]
        last = "" if found == [name] else f"Prometheus shows that {', '.join(found) or 'nobody'} takes writes"
        return last

    try:
        await wait_for(unseen, SCRAPE_TIMEOUT_S, f"Prometheus to show {name}")
    except ClusterError:
        return last
    return ""


async def _query(stage: Stage, expression: str, label: str = "node") -> dict[str, float]:
    """Return what a query of Prometheus gives, by a label. Raises UnavailableError without one, ClusterError."""
    spec = stage.cluster.spec
    service = next((one for one in spec.services if one.kind == "prometheus"), None)
    if service is None:
        raise UnavailableError("no Prometheus beside this cluster: outlast up … --with monitoring")
    if reason := missing("prometheus"):
        raise UnavailableError(reason)
    try:
        answer = await http.request(
            stage.cluster.lab, (service.address, PROMETHEUS_PORT), "GET", f"/api/v1/query?query={quote(expression)}",
            timeout_s=5.0,
        )  # fmt: skip
    except OSError as error:
        raise ClusterError(f"{service.name} does not answer: {error}") from error
    body = answer.body if isinstance(answer.body, dict) else json.loads(str(answer.body))
    if answer.status != 200 or body.get("status") != "success":
        raise ClusterError(f"{service.name} says {answer.status} to {expression}")
    return {str(one["metric"].get(label, "")): float(one["value"][1]) for one in body["data"]["result"]}


CHECKS: Final = tuple(
    SuiteCheck(name, title, run, ("has-servers", "has-primary", "killable"))
    for name, title, run in (
        ("bootstrap", "Every node is up, one leads, the data is there, equal everywhere", _bootstrap),
        ("monitoring", "Prometheus sees every node, who leads, and how far each is behind", _monitoring),
        ("failover-and-rejoin", "The primary is stopped, another leads, the old one rejoins; monitoring follows",
         _failover_and_rejoin),
    )
)  # fmt: skip
