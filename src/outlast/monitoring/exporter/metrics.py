"""The exporter's figures as Prometheus reads them. Names and labels are docs/monitoring.md's; B10's names stand as
they are known from pg_auto_failover's and postgres_exporter's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from outlast.clock import now_ns, seconds_between
from outlast.monitoring.exporter.sample import NodeSample
from outlast.monitoring.exporter.state import LabSamples, NodeSamples

Rows = Iterable[tuple[tuple[str, ...], float | None]]

_COUNTERS: Final = (
    ("inserts", "inserted", "rows inserted, all databases"),
    ("updates", "updated", "rows updated, all databases"),
    ("deletes", "deleted", "rows deleted, all databases"),
    ("commits", "committed", "transactions committed, all databases"),
    ("rollbacks", "rolled_back", "transactions rolled back, all databases"),
    ("sequential_scans", "sequential_scans", "sequential scans of the application database's tables"),
    ("rows_read", "rows_read", "rows that scans of the application database's tables brought"),
)
_GAUGES: Final = (
    ("timeline", "timeline", "timeline the server is on"),
    ("lsn_bytes", "lsn", "position: written on a primary, replayed on a standby"),
    ("connections", "connections", "client connections"),
    ("connections_max", "connections_max", "client connections that the server allows"),
    ("idle_in_transaction", "idle_in_transaction", "connections that hold a transaction open and do nothing"),
)


class LabCollector(Collector):
    """Turns a LabState into metrics, at the moment it is asked."""

    def __init__(self, state: LabSamples) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; a figure that is not known is left out."""
        state = self._state
        yield from _nodes(state)
        yield from _replication(state)
        yield from _cluster(state)
        yield from _managers(state)
        yield from _store(state)
        yield from _drill(state)


def exposition(state: LabSamples) -> bytes:
    """Return all metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LabCollector(state))
    return generate_latest(registry)


def _gauge(name: str, about: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    family = GaugeMetricFamily(name, about, labels=labels)
    for values, value in rows:
        if value is not None:
            family.add_metric(values, value)
    return family


def _counter(name: str, about: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    family = CounterMetricFamily(name, about, labels=labels)
    for values, value in rows:
        if value is not None:
            family.add_metric(values, value)
    return family


def _up(state: LabSamples) -> list[tuple[NodeSamples, NodeSample]]:
    return [(node, node.sample) for node in state.nodes.values() if node.is_up and node.sample is not None]


def _nodes(state: LabSamples) -> Iterator[Metric]:
    node = ("node",)
    all_nodes = state.nodes.values()
    yield _gauge("outlast_node_up", "1 when the server answered the newest look", node,
                 (((node.target.name,), node.is_up) for node in all_nodes))  # fmt: skip
    yield _counter("outlast_node_outages", "times that the server stopped answering", node,
                   (((node.target.name,), node.downs) for node in all_nodes))  # fmt: skip
    yield _gauge("outlast_node_look_seconds", "how long the newest look took", node,
                 (((node.target.name,), node.took_s) for node in all_nodes))  # fmt: skip
    up = [(one.target.name, sample) for one, sample in _up(state)]
    yield _gauge("outlast_node_writable", "1 when the server takes writes", node,
                 (((name,), not sample.in_recovery) for name, sample in up))  # fmt: skip
    yield _gauge("outlast_node_role", "1, by the role the server has now", ("node", "role"),
                 (((name, "standby" if sample.in_recovery else "primary"), 1) for name, sample in up))  # fmt: skip
    for name, field, about in _GAUGES:
        yield _gauge(f"outlast_node_{name}", about, node,
                     (((one,), getattr(sample, field)) for one, sample in up))  # fmt: skip
    kinds = (("read", "reading"), ("write", "writing"))
    yield _gauge("outlast_node_active_queries", "queries at work, by what they do", ("node", "kind"),
                 (((name, kind), getattr(sample, field)) for name, sample in up for kind, field in kinds))  # fmt: skip
    for name, field, about in _COUNTERS:
        yield _counter(f"outlast_node_{name}", about, node,
                       (((one,), getattr(sample, field)) for one, sample in up))  # fmt: skip


def _replication(state: LabSamples) -> Iterator[Metric]:
    now = now_ns()
    lags = [(name, lag) for name in state.nodes if (lag := state.lag(name, now)) is not None]
    about = "WAL of the newest primary that the standby has not replayed"
    yield _gauge("outlast_node_lag_bytes", about, ("node",), (((name,), lag.bytes) for name, lag in lags))
    yield _gauge("outlast_node_lag_seconds", "age of the oldest WAL that the standby has not replayed", ("node",),
                 (((name,), lag.seconds) for name, lag in lags))  # fmt: skip
    yield _gauge("pg_stat_replication_replay_lag_bytes", about, ("node", "application_name"),
                 (((name, name), lag.bytes) for name, lag in lags))  # fmt: skip
    rows = [(name, row) for name in state.nodes if (row := state.standby_row(name)) is not None]
    yield _gauge("outlast_node_sync_state", "1, by how the primary counts the standby", ("node", "state"),
                 (((name, row.sync), 1) for name, row in rows))  # fmt: skip
    standbys = [(one.target.name, sample) for one, sample in _up(state) if sample.in_recovery]
    yield _gauge("outlast_node_streaming", "1 when the standby receives WAL", ("node",),
                 (((name,), sample.is_streaming) for name, sample in standbys))  # fmt: skip
    slots = [(one.target.name, slot) for one, sample in _up(state) for slot in sample.slots]
    labels = ("node", "slot")
    yield _gauge("outlast_slot_active", "1 while somebody reads from the slot", labels,
                 (((name, slot.name), slot.is_active) for name, slot in slots))  # fmt: skip
    yield _gauge("outlast_slot_retained_bytes", "WAL that the slot keeps from being removed", labels,
                 (((name, slot.name), slot.retained_bytes) for name, slot in slots))  # fmt: skip


def _cluster(state: LabSamples) -> Iterator[Metric]:
    if not state.config.nodes:  # no servers, so none that should take writes
        return
    none: tuple[str, ...] = ()
    yield _gauge(
        "outlast_writable_nodes", "nodes that take writes", none, [((), len(state.writable_nodes()))]
    )
    yield _gauge("outlast_failover_ready_nodes", "standbys that could take over now", none,
                 [((), len(state.ready_for_failover()))])  # fmt: skip
    yield _gauge("outlast_failover_candidates", "nodes that may ever become primary", none,
                 [((), len(state.config.candidates))])  # fmt: skip
    yield _counter("outlast_primary_changes", "times that another node began to take writes", none,
                   [((), state.changes)])  # fmt: skip
    if state.followed is None:
        return
    # These follow the writable node. While there is none they go on with what the last one said.
    followed = state.nodes[state.followed]
    yield _gauge("outlast_writable_up", "1 while there is a node that takes writes", none,
                 [((), state.writable is not None)])  # fmt: skip
    yield _gauge("outlast_writable_node_info", "1, by the node that takes writes, or took them last", ("node",),
                 [((state.followed,), 1)])  # fmt: skip
    yield _gauge("outlast_writable_age_seconds", "age of the writable node's figures", none,
                 [((), seconds_between(followed.sampled_ns, now_ns()))])  # fmt: skip
    sample = followed.sample
    assert sample is not None
    for name, field, about in (*_GAUGES, ("active_reads", "reading", "queries that read, at work"),
                               ("active_writes", "writing", "queries that write, at work")):  # fmt: skip
        yield _gauge(f"outlast_writable_{name}", f"of the writable node: {about}", none,
                     [((), getattr(sample, field))])  # fmt: skip
    for name, field, about in _COUNTERS:
        yield _counter(f"outlast_writable_{name}", f"of the writable node: {about}", none,
                       [((), getattr(sample, field))])  # fmt: skip


def _managers(state: LabSamples) -> Iterator[Metric]:
    said = state.managers.items()
    if not said:
        return
    node = ("node",)
    yield _gauge("outlast_manager_up", "1 while the node's manager works", node,
                 (((name,), one.is_up) for name, one in said))  # fmt: skip
    yield _gauge("outlast_manager_state", "1, by the manager's word for the node", ("node", "state"),
                 (((name, one.state), 1) for name, one in said))  # fmt: skip
    if state.config.system == "pgpool":
        yield _counter(
            "outlast_balancer_selects",
            "queries that the balancer has sent to the node",
            node,
            (((name,), one.selects) for name, one in said),
        )
    if state.config.system == "pg_auto_failover":
        yield _gauge("pg_auto_failover_node_state_health_code", "monitor's view: -1 unknown, 0 bad, 1 good", node,
                     (((name,), one.health) for name, one in said))  # fmt: skip
        yield _gauge("pg_auto_failover_node_state_reported_state_code", "state that the node reported, as a code", node,
                     (((name,), one.state_code) for name, one in said))  # fmt: skip


def _store(state: LabSamples) -> Iterator[Metric]:
    store = state.store
    if store is None:
        return
    member = ("member",)
    yield _gauge(
        "outlast_dcs_quorum", "1 while the consensus store answers reads", (), [((), store.has_quorum)]
    )
    yield _gauge("outlast_dcs_member_up", "1 when the member answered the newest look", member,
                 (((name,), one.is_up) for name, one in store.members.items()))  # fmt: skip
    yield _gauge("outlast_dcs_leader", "1 for the member that leads", member,
                 (((name,), one.is_leader) for name, one in store.members.items()))  # fmt: skip
    yield _gauge("outlast_dcs_member_term", "term that the member is in", member,
                 (((name,), one.term) for name, one in store.members.items()))  # fmt: skip
    yield _gauge("outlast_dcs_member_index", "newest entry of the member's log", member,
                 (((name,), one.index) for name, one in store.members.items()))  # fmt: skip
    terms = [one.term for one in store.members.values() if one.term is not None]
    yield _gauge(
        "outlast_dcs_term", "newest term of the consensus store", (), [((), max(terms, default=None))]
    )


def _drill(state: LabSamples) -> Iterator[Metric]:
    live = state.live
    yield _gauge("outlast_drill_running", "1 while a drill runs in the lab", (),
                 [((), live is not None and live.is_running)])  # fmt: skip
    if live is None:
        return
    yield _gauge("outlast_drill_info", "1, by the newest drill of the lab", ("drill", "run", "phase", "verdict"),
                 [((live.drill, live.run, live.phase, live.verdict or ""), 1)])  # fmt: skip
    yield _gauge("outlast_drill_elapsed_seconds", "how long its load has run", (), [((), live.elapsed_s)])
    ops = (("ok", live.ok), ("fail", live.fail), ("info", live.info))
    yield _counter("outlast_drill_operations", "its operations, by outcome", ("outcome",),
                   (((name,), count) for name, count in ops))  # fmt: skip
    yield _gauge(
        "outlast_drill_acks_per_second", "its operations acknowledged a second", (), [((), live.rate_per_s)]
    )
    yield _gauge(
        "outlast_drill_open_operations", "its operations that wait for an answer", (), [((), live.open)]
    )
    yield _gauge(
        "outlast_drill_outage_seconds", "time since its newest acknowledgement", (), [((), live.outage_s)]
    )
    yield _gauge(
        "outlast_drill_longest_outage_seconds", "longest such time so far", (), [((), live.outage_worst_s)]
    )
    active = live.faults_active if live.is_running else ()
    yield _gauge("outlast_drill_faults_active", "faults that are not healed yet", (), [((), len(active))])
    yield _gauge("outlast_drill_fault_active", "1 for each of them", ("fault", "targets"),
                 {(one.fault, ",".join(one.targets)): 1.0 for one in active}.items())  # fmt: skip
