"""Transactions against a real PostgreSQL: what is acknowledged is there, what failed is not, the rest is unknown."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psycopg
import pytest
from benchmarks.bare_postgres import Server
from waiting import until

from outlast.clock import deadline_ns, now_ns, seconds_until
from outlast.history.op import Ops, Outcome
from outlast.history.reading import live_counts, read_ops
from outlast.pace import scaled
from outlast.workloads import WORKLOADS, WorkerConfig
from outlast.workloads.worker import make_worker

pytestmark = pytest.mark.lab

LISTS = WORKLOADS["list-append"]


@contextmanager
def load(server: Server, folder: Path, clients: int = 3, keys: int = 5, **given: object) -> Iterator[None]:
    """Run list-append in a thread for the length of a with block. keys: many, and nobody waits for another."""
    for statement in LISTS.setup:
        server.query(statement)
    config = WorkerConfig(
        "w",
        str(folder / "ops"),
        f"{server.dsn} target_session_attrs=read-write",
        clients,
        workload=LISTS.name,
        params={**LISTS.params, "mops_max": 2, "keys": keys},
        epoch_ns=now_ns(),
        **given,  # type: ignore[arg-type]
    )
    worker = make_worker(config)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(scaled(30))
    assert not thread.is_alive()


def wait_for(folder: Path, outcome: str, count: int) -> None:
    def counted() -> bool:
        return sum(int(getattr(counts, outcome)) for counts in live_counts(folder / "ops")) >= count

    until(counted, f"{count} operations to end as {outcome}")


def appended(ops: Ops, outcome: Outcome) -> set[tuple[int, int]]:
    """Return (key, element) of all appends of ops that ended so."""
    texts = [(ops.payload or ())[op] for op in np.flatnonzero(ops.outcome_is(outcome)).tolist()]
    return {(key, value) for text in texts for f, key, value in json.loads(text or "[]") if f == "append"}


def held(server: Server) -> set[tuple[object, ...]]:
    return set(server.query("SELECT key, unnest(elements) FROM outlast_list_append"))


@pytest.mark.parametrize("level", ["read-committed", "repeatable-read", "serializable"])
def test_the_table_holds_what_was_acknowledged_and_nothing_that_failed(
    postgres: Server, tmp_path: Path, level: str
) -> None:
    with load(postgres, tmp_path, clients=6, level=level):
        wait_for(tmp_path, "ok", 500)
    ops = read_ops(tmp_path / "ops")
    table = held(postgres)
    assert appended(ops, Outcome.OK) <= table
    assert not appended(ops, Outcome.FAIL) & table
    assert table <= appended(ops, Outcome.OK) | appended(ops, Outcome.INFO)
    acked = ops.outcome_is(Outcome.OK)
    assert ops.node_names == ("node-1",)
    assert (ops.lsn[acked] > 0).all()
    assert set(ops.timeline[acked].tolist()) == {1}
    errors = {(ops.error_text(op) or "")[:5] for op in np.flatnonzero(ops.outcome_is(Outcome.FAIL)).tolist()}
    assert errors <= {"40001", "40P01"}
    assert ("40001" in errors) == (level != "read-committed")


def test_a_transaction_lost_before_its_commit_certainly_failed(postgres: Server, tmp_path: Path) -> None:
    with load(postgres, tmp_path, query_timeout_s=1):
        wait_for(tmp_path, "ok", 50)
        with psycopg.connect(postgres.dsn) as blocker:
            blocker.execute("LOCK TABLE outlast_list_append")
            wait_for(tmp_path, "fail", 3)
    ops = read_ops(tmp_path / "ops")
    lost = ops.outcome_is(Outcome.FAIL)
    assert "no answer within 1 s" in {ops.error_text(op) for op in np.flatnonzero(lost).tolist()}
    assert not appended(ops, Outcome.FAIL) & held(postgres)
    assert not ops.outcome_is(Outcome.INFO).any()


def test_a_transaction_lost_during_its_commit_is_unknown_and_a_cancelled_wait_local(
    postgres: Server, tmp_path: Path
) -> None:
    """With no synchronous standby the commit of a write never ends."""
    with load(postgres, tmp_path, keys=1000, query_timeout_s=4):
        wait_for(tmp_path, "ok", 20)
        postgres.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        postgres.query("SELECT pg_reload_conf()")
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        until = deadline_ns(20)
        while len(stuck := postgres.query(waiting)) < 3:
            assert seconds_until(until) > 0, "three commits waiting"
        postgres.query(f"SELECT pg_cancel_backend({stuck[0][0]})")
        wait_for(tmp_path, "info", 2)
        wait_for(tmp_path, "local", 1)
    ops = read_ops(tmp_path / "ops")
    assert appended(ops, Outcome.LOCAL) <= held(postgres)
    unknown = np.flatnonzero(ops.outcome_is(Outcome.INFO)).tolist()
    assert "no answer within 4 s" in {ops.error_text(op) for op in unknown}
    reads = [json.loads((ops.payload or ())[op] or "[]") for op in unknown]
    assert all(value is None for mops in reads for f, _, value in mops if f == "r")
