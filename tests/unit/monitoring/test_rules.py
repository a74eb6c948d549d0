"""The alerting rules, by Prometheus' own test tool."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
from skips import needs

from outlast.config import load_cluster
from outlast.monitoring import alertmanager, prometheus
from outlast.monitoring.jobs import jobs, receiver
from outlast.monitoring.services import with_monitoring
from outlast.pace import scaled

RULES = Path(str(files("outlast.monitoring") / "rules"))
needs_promtool = needs("promtool")
needs_amtool = needs("amtool")


def _test_rules(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", "test", "rules", str(folder / "alerts_test.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled(60),
    )


@needs_promtool
def test_every_alert_fires_on_its_cause_and_stays_quiet_without() -> None:
    done = _test_rules(RULES)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("outlast_node_lag_seconds > 5", "outlast_node_lag_seconds > 500"),
        ("and on (node) outlast_node_up == 1", ""),
        ("outlast_node_up == 0", "outlast_node_up == 7"),
        ("expr: outlast_writable_nodes == 0", "expr: outlast_writable_nodes == 7"),
        ("expr: outlast_writable_nodes > 1", "expr: outlast_writable_nodes > 0"),
        ("outlast_failover_candidates > 1", "outlast_failover_candidates > 0"),
        ("and on (node) outlast_node_writable == 1", ""),
        ("outlast_dcs_quorum == 0", "outlast_dcs_quorum == 7"),
        ("[60s]) >= 3", "[60s]) >= 1"),
    ],
)
def test_a_rule_that_was_broken_does_not_pass(was: str, becomes: str, tmp_path: Path) -> None:
    for name in ("alerts.yml", "alerts_test.yml"):
        shutil.copy(RULES / name, tmp_path)
    text = (tmp_path / "alerts.yml").read_text()
    assert was in text
    (tmp_path / "alerts.yml").write_text(text.replace(was, becomes))
    assert _test_rules(tmp_path).returncode != 0


def test_every_alert_has_a_test_in_which_it_fires() -> None:
    text = (RULES / "alerts_test.yml").read_text()
    for alert in alert_names():
        assert f"alertname: {alert}\n        exp_alerts" in text, alert


def alert_names() -> list[str]:
    return [
        line.split()[-1] for line in prometheus.rules().splitlines() if line.strip().startswith("- alert:")
    ]


@needs_promtool
@pytest.mark.parametrize("preset", ["patroni-3dcs", "pg_auto_failover", "etcd", "raftlog"])
def test_prometheus_takes_the_configuration_of_every_system(preset: str, tmp_path: Path) -> None:
    spec = with_monitoring(load_cluster(preset))
    (tmp_path / prometheus.RULES_FILE).write_text(prometheus.rules())
    (tmp_path / "prometheus.yml").write_text(prometheus.configuration(jobs(spec), "127.0.0.1:9093"))
    done = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled(60),
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_amtool
def test_alertmanager_takes_its_configuration(tmp_path: Path) -> None:
    spec = with_monitoring(load_cluster("patroni"))
    (tmp_path / "alertmanager.yml").write_text(alertmanager.configuration(receiver(spec)))
    done = subprocess.run(
        ["amtool", "check-config", str(tmp_path / "alertmanager.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled(60),
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_services_that_a_cluster_has_keep_their_names_and_addresses() -> None:
    spec = with_monitoring(load_cluster("pg_auto_failover"))
    there = {one.kind: (one.name, one.address) for one in spec.services}
    assert there["exporter"] == ("postgres-exporter", "172.28.0.20")
    assert there["prometheus"] == ("prometheus", "172.28.0.21")
    assert "alertmanager" in there
    assert with_monitoring(spec) == spec
    assert json.loads(prometheus.configuration(jobs(spec), None))["scrape_configs"]
