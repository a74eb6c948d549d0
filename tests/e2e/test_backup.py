"""Backups from outside: made in use, restored to the instant before a mistake, refused where they can't be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from program import USERS, Done, outlast
from skips import needs

pytestmark = needs("pgbackrest")

BACKUP = ("--set", "backup=on")
QUICK = ("--set", "duration=16s", "--set", "workload.append.rate=200/s", "--seed", "3", "--json")


def refused(done: Done, code: int, words: str) -> None:
    assert (done.code, done.out) == (code, ""), (done.out, done.err)
    assert words in done.err
    assert "Traceback" not in done.err


def sql(text: str, user: str, node: str | None = None) -> str:
    done = outlast("psql", *(("--node", node) if node else ()), "--", "-qAtc", text, user=user)
    assert done.code == 0, done.err
    return done.out.strip()


def archive_is(user: str) -> Any:
    """Return what doctor makes of the archive."""
    checks = outlast("doctor", "--lab", "kept", "--json", user=user).json["checks"]
    return next(one["state"] for one in checks if one["check"] == "archive")


@contextmanager
def lab(user: str) -> Iterator[None]:
    """Keep a lab with an archive up for the length of a with block."""
    up = outlast("up", "streaming", "--set", "nodes=2", *BACKUP, "--name", "kept", "--json", user=user)
    assert up.code == 0, up.err
    try:
        yield
    finally:
        assert outlast("down", "--json", user=user).json["residue"] == []


def test_what_a_mistake_deleted_is_restored_and_a_gap_in_the_archive_is_an_error() -> None:
    user = "ordinary"
    with lab(user):
        sql("create table kept as select generate_series(1, 100) as n", user)
        made = outlast("backup", "--json", user=user)
        assert made.code == 0, made.err
        sql("insert into kept select generate_series(101, 150)", user)
        instant = datetime.now(UTC).isoformat()
        sql("delete from kept", user)
        restored = outlast("restore", "kept", "--to", instant, "--json", user=user)
        assert restored.code == 0, restored.err
        found = restored.json
        assert (found["node"], found["backup"], found["timeline"]) == ("restored-1", made.json["label"], 2)
        assert sql("select count(*) || '/' || max(n) from kept", user, "restored-1") == "150/150"
        assert sql("select count(*) from kept", user) == "0"  # the cluster is left as it was
        assert outlast("inject", "archive_lost", "--on", "primary", user=user).code == 0
        sql("insert into kept values (1)", user)
        refused(outlast("restore", "--latest", user=user), 1, "lost to every restore")


@pytest.mark.slow
@pytest.mark.parametrize("user", USERS)
def test_restores_are_asked_removed_refused_and_broken_archives_seen(user: str) -> None:
    with lab(user):
        refused(outlast("restore", user=user), 64, "no backup yet")
        made = outlast("backup", "--json", user=user)
        assert made.code == 0, made.err
        there = outlast("backups", "kept", "--json", user=user).json
        assert [one["label"] for one in there["backups"]] == [made.json["label"]]
        assert there["archive"]["last"] >= made.json["wal_stop"]
        refused(outlast("restore", "--to", "2020-01-01", user=user), 64, "before the end of the first backup")
        refused(outlast("restore", "--to", "2999-01-01", user=user), 64, "has not come yet")
        refused(outlast("restore", "--to", "when it was well", user=user), 64, "is no time")
        refused(outlast("restore", "--latest", "--name", "p", user=user), 64, "exclude each other")
        refused(outlast("restore", "--name", "nowhere", user=user), 1, "a restore point of that name")
        sql("create table kept (n int)", user)
        now = datetime.now(UTC).isoformat()  # nothing is committed after it, until the restore itself commits
        assert outlast("restore", "--to", now, "--node", "again", user=user).code == 0
        refused(outlast("restore", "--node", "again", user=user), 64, "there is a host again already")
        refused(outlast("restore", "--node", "../x", user=user), 64, "../x")
        status = outlast("status", "--json", user=user).json
        assert status["ready"]
        assert [node["name"] for node in status["nodes"]] == ["pg-node-1", "pg-node-2", "again"]
        assert status["nodes"][-1]["state"] == "restored"
        assert outlast("remove-node", "again", user=user).code == 0
        assert archive_is(user) == "ok"
        for fault in ("archive_silent", "archive_lost"):
            broken = outlast("inject", fault, "--on", "primary", "--json", user=user)
            assert broken.code == 0, broken.err + broken.out
            sql("insert into kept values (1)", user)
            refused(outlast("restore", "--latest", user=user), 1, "lost to every restore")
            if fault == "archive_silent":
                assert archive_is(user) == "bad"
            assert outlast("heal", user=user).code == 0
            again = outlast("backup", "--type", "incr", "--json", user=user)  # what is after it restores
            assert (again.code, again.json["type"]) == (0, "incr"), again.err
            assert archive_is(user) == "ok"
        assert outlast("restore", user=user).code == 0


def test_a_lab_without_an_archive_and_a_server_that_pgbackrest_cannot_read_are_refused() -> None:
    refused(outlast("up", "patroni", *BACKUP, "--set", "version=18"), 64, "cannot read PostgreSQL 18")
    refused(outlast("up", "etcd", *BACKUP), 64, "needs PostgreSQL")
    refused(outlast("drill", "point-in-time", "--set", "backup=off"), 64, "backup=on")
    assert outlast("ls", "labs", "--json").json == {"labs": []}


@pytest.mark.slow
@pytest.mark.parametrize("system", ["patroni", "streaming", "pg_auto_failover", "pgpool"])
def test_the_drill_restores_every_acknowledged_write_on_each_system(system: str) -> None:
    ran = outlast("drill", "point-in-time", "--system", system, *QUICK, timeout_s=240)
    assert ran.code == 0, ran.err + ran.out
    assert (ran.json["verdict"], ran.json["acked_lost"]) == ("pass", 0)
    finding = next(one for one in ran.json["checks"] if one["name"] == "restorable")
    assert finding["verdict"] == "pass"
    again = outlast("check", ran.json["store"], "--json")
    assert (again.code, _restorable(again.json)["value"]) == (0, 0)


@pytest.mark.slow
def test_broken_archives_are_found_and_a_failover_between_is_followed() -> None:
    ran = outlast("suite", "backup", "--profile", "fast", "--json", timeout_s=600)
    assert ran.code == 0, ran.err + ran.out
    outcomes = {one["drill"]: one.get("outcome") for one in ran.json["drills"]}
    assert outcomes["archive-gap"] == outcomes["archive-silent"] == "expected fail: found"
    assert {"point-in-time", "archive-through-failover"} <= outcomes.keys()


def _restorable(document: Any) -> Any:
    return next(one for one in document["checks"] if one["name"] == "restorable")
