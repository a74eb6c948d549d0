"""What the exporter makes of its samples: who is followed, who lags, who could take over."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from outlast.history.live import Live, LiveFault
from outlast.monitoring.exporter.config import ExporterConfig, ExporterTarget
from outlast.monitoring.exporter.main import note_alerts
from outlast.monitoring.exporter.managers.pg_auto_failover import STATE_CODES, manager_sample
from outlast.monitoring.exporter.metrics import exposition
from outlast.monitoring.exporter.sample import NodeSample, StandbySample
from outlast.monitoring.exporter.state import LabSamples, ManagerSample, MemberSample, StoreSample
from outlast.pace import scaled

S = 1_000_000_000
SAMPLE = NodeSample(False, 1, 1000, False, (), (), 3, 0, 0, 0, 10, 0, 0, 5, 0, 0, 0, 100)


def config(system: str = "patroni") -> ExporterConfig:
    nodes = tuple(
        ExporterTarget(name, f"10.0.0.{number}", 5432) for number, name in enumerate("abc", start=1)
    )
    return ExporterConfig(
        "lab",
        system,
        "lab",
        "10.0.0.9",
        9187,
        nodes,
        ("a", "b"),
        (),
        None,
        "",
        "",
        None,
        "appuser",
        "appdb",
        "u",
        "p",
        "on",
    )


def state(system: str = "patroni") -> LabSamples:
    """a is the primary, b and c follow it; b is a little behind."""
    made = LabSamples(config(system))
    put(made, "a", replace(SAMPLE, standbys=(StandbySample("b", "10.0.0.2", "streaming", "sync", 200),)))
    put(made, "b", replace(SAMPLE, in_recovery=True, lsn=800, is_streaming=True))
    put(made, "c", replace(SAMPLE, in_recovery=True, lsn=1000, is_streaming=True))
    made.follow(10 * S)
    return made


def put(made: LabSamples, node: str, sample: NodeSample | None) -> None:
    made.nodes[node].is_up = sample is not None
    if sample is not None:
        made.nodes[node].sample = sample


def test_the_lag_is_what_the_primary_says_and_as_old_as_what_is_missing() -> None:
    made = state()
    put(
        made,
        "a",
        replace(SAMPLE, lsn=5000, standbys=(StandbySample("b", "10.0.0.2", "streaming", "sync", 4200),)),
    )
    made.follow(20 * S)
    lag = made.lag("b", 30 * S)
    assert lag is not None
    assert lag.bytes == 4200
    assert 18 < lag.seconds < 20, "since 10 s, when the primary was past what b has, less one round of looks"
    assert made.lag("a", 30 * S) is None


def test_the_lag_goes_on_while_there_is_no_primary() -> None:
    made = state()
    put(made, "a", None)
    made.follow(20 * S)
    assert made.writable is None
    lag = made.lag("b", 20 * S)
    assert lag is not None
    assert lag.bytes == 200


def test_the_lag_of_a_standby_that_is_away_grows_with_the_primary() -> None:
    made = state()
    put(made, "b", None)
    put(made, "a", replace(SAMPLE, lsn=100_000))
    made.follow(60 * S)
    lag = made.lag("b", 70 * S)
    assert lag is not None
    assert lag.bytes == 99_200


def test_what_the_old_primary_alone_wrote_is_no_lag_after_a_failover() -> None:
    made = state()
    put(made, "a", replace(SAMPLE, lsn=9000))
    made.follow(20 * S)
    put(made, "a", None)
    put(made, "b", replace(SAMPLE, timeline=2, lsn=2000))
    put(made, "c", replace(SAMPLE, in_recovery=True, timeline=2, lsn=2000))
    made.follow(40 * S)
    assert made.writable == "b"
    assert made.changes == 1
    lag = made.lag("c", 50 * S)
    assert lag is not None
    assert (lag.bytes, lag.seconds) == (0, 0.0)


def test_of_two_primaries_the_newer_timeline_is_followed() -> None:
    made = state()
    put(made, "b", replace(SAMPLE, timeline=2, lsn=900))
    made.follow(11 * S)
    assert made.writable == "b"
    assert [one.target.name for one in made.writable_nodes()] == ["b", "a"]


def test_only_a_candidate_that_streams_and_that_the_manager_would_promote_is_ready() -> None:
    made = state()
    assert made.ready_for_failover() == ["b"], "c is no candidate"
    made.managers = {"b": ManagerSample(True, "running", can_promote=False)}
    assert made.ready_for_failover() == []
    made.managers = {"b": ManagerSample(False, "running", can_promote=True)}
    assert made.ready_for_failover() == []
    made.managers = {"b": ManagerSample(True, "running", can_promote=True)}
    assert made.ready_for_failover() == ["b"]
    put(made, "b", replace(SAMPLE, in_recovery=True, is_streaming=False))
    assert made.ready_for_failover() == []


def test_the_codes_of_pg_auto_failover_are_those_that_are_known() -> None:
    wanted = {"draining": 0, "wait_standby": 1, "secondary": 2, "primary": 3, "single": 4}
    assert {name: STATE_CODES[name] for name in wanted} == wanted
    assert sorted(STATE_CODES.values()) == list(range(len(STATE_CODES)))
    assert manager_sample("what", 1, 50, 0.1).state_code == -1
    made = state("pg_auto_failover")
    made.managers = {"b": manager_sample("secondary", 1, 50, 0.1), "c": manager_sample("demoted", -1, 0, 60)}
    text = exposition(made).decode()
    assert 'pg_auto_failover_node_state_health_code{node="b"} 1.0' in text
    assert 'pg_auto_failover_node_state_health_code{node="c"} -1.0' in text
    assert 'pg_auto_failover_node_state_reported_state_code{node="b"} 2.0' in text


def test_the_figures_of_the_writable_node_go_on_without_one() -> None:
    made = state()
    before = {
        line.split()[0] for line in exposition(made).decode().splitlines() if "outlast_writable_" in line
    }
    put(made, "a", None)
    made.follow(20 * S)
    text = exposition(made).decode()
    assert {line.split()[0] for line in text.splitlines() if "outlast_writable_" in line} == before
    assert "outlast_writable_up 0.0" in text
    assert "outlast_writable_nodes 0.0" in text
    assert 'pg_stat_replication_replay_lag_bytes{application_name="b",node="b"} 200.0' in text


def test_the_store_and_the_run_are_shown() -> None:
    made = state()
    made.store = StoreSample({"e1": MemberSample(True, True, True, 7, 99), "e2": MemberSample(False)}, True)
    fault = LiveFault("process_kill", ("a",), 5.0, None, True)
    made.live = Live("run", "lab", "d", "patroni", "load", 2**62, ok=41, faults=(fault,))
    text = exposition(made).decode()
    assert "outlast_dcs_term 7.0" in text
    assert 'outlast_dcs_leader{member="e1"} 1.0' in text
    assert 'outlast_dcs_member_up{member="e2"} 0.0' in text
    assert 'outlast_drill_operations_total{outcome="ok"} 41.0' in text
    assert 'outlast_drill_fault_active{fault="process_kill",targets="a"} 1.0' in text


def test_what_is_no_message_of_alertmanager_is_refused() -> None:
    for body in (b"", b"[]", b"{}", b'{"alerts": [1]}', b'{"alerts": [{"labels": 3, "status": 1}]}', b"\xff"):
        assert note_alerts(body, Path("/nonexistent")) == "400 Bad Request"


def test_the_exporter_imports_little() -> None:
    """It runs beside a cluster all the time: what only the tool needs would be memory for nothing."""
    done = subprocess.run(
        [sys.executable, "-c", "import outlast.monitoring.exporter.main, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=scaled(60),
    )
    heavy = {"numpy", "nanoarrow", "arro3", "pydantic", "click", "rich", "ruamel", "scipy", "patroni"}
    assert not heavy & {name.split(".")[0] for name in done.stdout.split()}
