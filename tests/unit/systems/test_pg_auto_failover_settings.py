"""What pg_auto_failover is told follows the spec, and what it could not keep is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from outlast.config import load_cluster
from outlast.systems.base import CAPABILITIES, HasConsensus
from outlast.systems.pg_auto_failover import fast_forward_fix, keeper, settings
from outlast.systems.pg_auto_failover.cluster import PgAutoFailoverCluster

PRESET = "pg_auto_failover"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("pg_auto_failover.helth_check_period=1", "no setting helth_check_period"),
        ("pg_auto_failover.primary_demote_timeout=-1", "whole number"),
        ("pg_auto_failover.primary_demote_timeout=soon", "whole number"),
        ("pg_auto_failover.mend_fast_forward=2", "0 or 1"),
        ("watchdog=on", "no watchdog"),
        ("tls=on", "tls"),
    ],
)
def test_what_it_would_not_do_is_refused(given: str, words: str) -> None:
    assert words in settings.illegal(load_cluster(PRESET, [given]))


def test_a_cluster_without_a_monitor_in_its_file_gets_one(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("system: pg_auto_failover\nnodes: 2\n")
    spec = load_cluster(str(file))
    assert [service.kind for service in spec.services] == ["monitor"]
    assert settings.illegal(spec) == ""


def test_two_monitors_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(
        "system: pg_auto_failover\nservices: [{name: m1, kind: monitor}, {name: m2, kind: monitor}]\n"
    )
    assert "one monitor, not 2" in settings.illegal(load_cluster(str(file)))


def test_strict_with_one_standby_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("system: pg_auto_failover\nnodes: 2\nsync: strict\n")
    assert "two standbys" in settings.illegal(load_cluster(str(file)))


@pytest.mark.parametrize(
    ("sync", "number", "voters"), [("off", 0, 0), ("on", 0, 3), ("strict", 1, 3), ("quorum", 1, 3)]
)
def test_sync_is_told_in_its_own_terms(sync: str, number: int, voters: int) -> None:
    spec = load_cluster(PRESET, [f"sync={sync}"])
    assert settings.number_sync_standbys(spec) == number
    assert len(settings.voters(spec)) == voters


def test_the_model_is_the_sum_of_its_own_time_outs() -> None:
    default = settings.outage_model(load_cluster(PRESET))
    # 5 s between checks, three of 5 s with 2 s between them; then the demote time-out, 30 s, and the margin.
    assert default.outage_s == 24 + 30 + 5
    slower = settings.outage_model(
        load_cluster(PRESET, ["pg_auto_failover.node_considered_unhealthy_timeout=40000"])
    )
    assert slower.outage_s == 40 + 30 + 5
    assert settings.outage_model(load_cluster(PRESET, ["profile=fast"])).outage_s < 10


def test_a_persons_own_time_out_comes_before_the_profiles() -> None:
    spec = load_cluster(PRESET, ["profile=fast", "pg_auto_failover.primary_demote_timeout=2000"])
    assert "pgautofailover.primary_demote_timeout = 2000\n" in settings.monitor_conf(spec)


def test_nobody_is_trusted_and_the_health_checks_come_from_the_monitor_alone() -> None:
    spec = load_cluster(PRESET)
    lines = [*settings.hba_lines(spec), *settings.monitor_hba_lines(spec)]
    assert not [line for line in lines if "trust" in line]
    health = [line for line in lines if settings.HEALTH_USER in line]
    assert health == [
        f"host all {settings.HEALTH_USER} 172.28.0.5/32 scram-sha-256",
        f"host all {settings.HEALTH_USER} all reject",
    ]
    assert lines.index(health[1]) < lines.index(f"host all all {spec.subnet} scram-sha-256")


def test_a_read_only_node_is_never_promoted_and_has_no_vote() -> None:
    spec = load_cluster("pg_auto_failover", ["sync=on"])
    read_only = next(node for node in spec.nodes if node.role == "standby")
    assert settings.priority(read_only) == 90
    import dataclasses

    changed = dataclasses.replace(read_only, role="read-only")
    assert settings.priority(changed) == 0


def test_a_rewind_that_became_a_base_backup_shows_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "pg_autoctl.log"
    assert keeper.rejoined_by(log) == []
    log.write_text(
        "10:00:01 9 INFO   /usr/lib/postgresql/15/bin/pg_rewind --target-pgdata x\n"
        "10:00:02 9 INFO  pg_rewind: connected to server\n"
        "10:00:03 9 INFO   /usr/lib/postgresql/15/bin/pg_basebackup -w -d y\n"
        "10:00:04 9 INFO  pg_basebackup: base backup completed\n"
    )
    assert keeper.rejoined_by(log) == ["pg_rewind", "pg_basebackup"]


def test_it_has_every_capability_but_a_consensus_store() -> None:
    lacking = {name for name, kind in CAPABILITIES.items() if not _has(PgAutoFailoverCluster, kind)}
    assert not _has(PgAutoFailoverCluster, HasConsensus)
    assert {"killable", "switchable", "promotable", "maintainable", "resizable"}.isdisjoint(lacking)


def _has(kind: type, capability: type) -> bool:
    wanted = {name for name in vars(capability) if not name.startswith("_")}
    return all(hasattr(kind, name) for name in wanted)


def test_pg_ctl_puts_the_signal_file_back_before_it_promotes_a_standby(tmp_path: Path) -> None:
    real, data = tmp_path / "real", tmp_path / "data"
    real.mkdir()
    data.mkdir()
    state = tmp_path / "state"
    _script(real / "pg_controldata", f"cat {state}")
    _script(real / "pg_ctl", 'echo "$@"')
    _script(tmp_path / "pg_ctl", fast_forward_fix.PG_CTL.removeprefix("#!/bin/sh\n") % real)

    def promoted_with_signal(word: str) -> bool:
        (data / "standby.signal").unlink(missing_ok=True)
        argv = [str(tmp_path / "pg_ctl"), "promote", "-D", str(data)]
        state.write_text(f"Database cluster state: {word}\n")
        assert subprocess.check_output(argv, text=True) == f"promote -D {data}\n"
        return (data / "standby.signal").exists()

    assert promoted_with_signal("in archive recovery")
    assert not promoted_with_signal("in production")


def test_a_candidate_that_fetches_wal_is_started_without_a_recovery_target(tmp_path: Path) -> None:
    _script(tmp_path / "real-postgres", 'echo "$@"')
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "real-postgres").rename(real / "postgres")
    _script(tmp_path / "postgres", fast_forward_fix.POSTGRES.removeprefix("#!/bin/sh\n") % real)
    conf = tmp_path / "postgresql-auto-failover-standby.conf"
    argv = [str(tmp_path / "postgres"), "-D", str(tmp_path), "-h", "*"]

    conf.write_text("recovery_target = 'immediate'\n")
    assert subprocess.check_output(argv, text=True) == f"-D {tmp_path} -h *\n"
    conf.write_text("primary_slot_name = 'a'\nrecovery_target_lsn = '0/3000000'\n")
    assert subprocess.check_output(argv, text=True) == f"-D {tmp_path} -h * -c recovery_target_lsn=\n"


def _script(file: Path, words: str) -> None:
    file.write_text(f"#!/bin/sh\n{words}\n")
    file.chmod(0o755)
