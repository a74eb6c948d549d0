"""What servers are told of the archive, and which versions and targets can be had."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from outlast.clusters import backups
from outlast.config import load_cluster
from outlast.errors import ConfigError, UnavailableError
from outlast.systems.postgres import backup
from outlast.systems.postgres.backup import Backup, RecoveryTarget
from outlast.systems.postgres.install import PostgresInstall
from outlast.systems.postgres.settings import server_parameters

FOLDER = Path("/state/labs/one")
NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    there = [PostgresInstall(f"{major}.4", Path("/pg"), "machine") for major in (18, 15)]
    monkeypatch.setattr(backup, "program", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(backup, "_version", lambda: (2, 45))
    monkeypatch.setattr(backup, "installed", lambda: tuple(there))
    monkeypatch.setattr(
        backup, "find", lambda version: next(one for one in there if one.major == (version or 18))
    )
    yield


def test_every_server_archives_by_one_command_that_a_host_fills_in() -> None:
    spec = backup.with_archive(load_cluster("patroni", ["backup=on"]), FOLDER)
    told = server_parameters(spec)
    assert told["archive_mode"] == "on"
    assert told["archive_command"] == (
        "/usr/bin/pgbackrest --config=/state/labs/one/backups/pgbackrest.conf --stanza=main "
        '--pg1-path=/state/labs/one/hosts/"$(uname -n)"/data archive-push %p'
    )
    assert spec.version == 15  # the newest that this pgBackRest reads, not the newest there is


def test_odd_folders_are_quoted_for_the_shell_and_for_postgresql() -> None:
    command = backup.archive_command(Path("/state/50% of it"))
    assert "'--config=/state/50%% of it/backups/pgbackrest.conf'" in command


def test_a_persons_own_parameters_outrank_ours_and_without_backup_nothing_changes() -> None:
    own = load_cluster("patroni", ["backup=on", "postgresql.parameters.archive_command=/bin/true"])
    assert server_parameters(backup.with_archive(own, FOLDER))["archive_command"] == "/bin/true"
    plain = load_cluster("patroni")
    assert backup.with_archive(plain, FOLDER) is plain


def test_a_postgresql_that_pgbackrest_cannot_read_is_refused() -> None:
    with pytest.raises(UnavailableError, match="cannot read PostgreSQL 18") as caught:
        backup.with_archive(load_cluster("patroni", ["backup=on", "version=18"]), FOLDER)
    assert "15" in str(caught.value.hint)
    with pytest.raises(UnavailableError, match="raftlog"):
        backup.with_archive(load_cluster("raftlog", ["backup=on"]), FOLDER)


def made(label: str, minutes_ago: int) -> Backup:
    at = NOW - timedelta(minutes=minutes_ago)
    return Backup(label, "full", at, at, 1, 1, "a", "b")


def test_a_time_is_restored_from_the_last_backup_that_had_ended_by_then() -> None:
    there = (made("one", 30), made("two", 10))

    def at(minutes_ago: int) -> list[str]:
        target = RecoveryTarget("time", (NOW - timedelta(minutes=minutes_ago)).isoformat())
        return [one.label for one in backups._choose(there, target)]

    assert (at(20), at(5)) == (["one"], ["two"])
    assert [one.label for one in backups._choose(there, RecoveryTarget("latest"))] == ["two"]
    assert [one.label for one in backups._choose(there, RecoveryTarget("name", "p"))] == ["two", "one"]
    with pytest.raises(ConfigError, match="before the end of the first backup"):
        at(40)
    with pytest.raises(ConfigError, match="has not come yet"):
        backups._choose(there, RecoveryTarget("time", "2999-01-01T00:00:00+00:00"))
    with pytest.raises(ConfigError, match="no backup yet"):
        backups._choose((), RecoveryTarget("latest"))
