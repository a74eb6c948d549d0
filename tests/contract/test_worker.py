"""The load worker against a real PostgreSQL: its acks are true and nothing it did is unrecorded."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psycopg
import pytest
from benchmarks.bare_postgres import Server
from waiting import until

from outlast.clock import now_ns
from outlast.errors import ClusterError
from outlast.history.op import NEVER, Ops, Outcome
from outlast.history.reading import live_counts, read_ops
from outlast.pace import scaled
from outlast.units import NS_PER_S
from outlast.workloads import WORKLOADS, WorkerConfig, split
from outlast.workloads.base import content_sql
from outlast.workloads.final_read import read_values

pytestmark = pytest.mark.lab

APPEND = WORKLOADS["append"]
FOLLOWING = "target_session_attrs=read-write"


def wait_for(what: str, predicate: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait until predicate holds."""
    until(predicate, what, timeout_s)


def set_up(server: Server) -> None:
    for statement in APPEND.setup:
        server.query(statement)


def rows(server: Server) -> list[int]:
    return [int(str(row[0])) for row in server.query(APPEND.values_sql)]


class Running:
    """A worker process and what it has recorded."""

    def __init__(self, folder: Path, config: WorkerConfig) -> None:
        path = folder / f"{config.name}.json"
        config.write(path)
        self.ops_folder = Path(config.ops_folder)
        self.name = config.name
        command = [sys.executable, "-m", "outlast.workloads.worker", str(path)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)

    def count(self, outcome: str) -> int:
        if not self.ops_folder.is_dir():
            return 0
        return sum(getattr(counts, outcome) for counts in live_counts(self.ops_folder))

    def wait_for(self, outcome: str, count: int) -> None:
        wait_for(f"{count} ops {outcome}", lambda: self.count(outcome) >= count)

    def finish(self) -> Ops:
        """Stop it in good order and return its ops."""
        self.process.terminate()
        stderr = self.process.communicate(timeout=scaled(30))[1]
        assert self.process.returncode == 0, stderr.decode()
        return read_ops(self.ops_folder)


@contextmanager
def worker(folder: Path, dsn: str, clients: int = 4, **given: object) -> Iterator[Running]:
    config = WorkerConfig("w", str(folder / "ops"), dsn, clients, **given)  # type: ignore[arg-type]
    running = Running(folder, config)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


def acked(ops: Ops) -> list[int]:
    return sorted(ops.value[ops.outcome_is(Outcome.OK)].tolist())


def errors(ops: Ops, outcome: Outcome) -> set[str]:
    return {ops.error_text(i) or "" for i in np.flatnonzero(ops.outcome_is(outcome)).tolist()}


@pytest.mark.parametrize("prepared", [True, False])
def test_every_ack_names_node_and_timeline_and_is_in_the_table(
    postgres: Server, tmp_path: Path, prepared: bool
) -> None:
    set_up(postgres)
    with worker(tmp_path, f"{postgres.dsn} {FOLLOWING}", prepared=prepared) as load:
        load.wait_for("ok", 500)
        ops = load.finish()
    assert ops.outcome_is(Outcome.OK).all()
    assert acked(ops) == rows(postgres)
    assert ops.node_names == ("node-1",)
    assert set(ops.timeline.tolist()) == {1}
    assert (np.diff(ops.lsn[np.argsort(ops.complete_ns)]) > -(1 << 20)).all()
    assert ops.lsn.min() > 0
    assert set(ops.process.tolist()) == {0, 1, 2, 3}
    for process in range(4):
        mine = ops.process == process
        assert (ops.invoke_ns[mine][1:] > ops.complete_ns[mine][:-1]).all()


@pytest.mark.parametrize("seed", range(4))
def test_killing_the_worker_loses_no_op_it_sent_and_no_ack_it_got(
    postgres: Server, tmp_path: Path, seed: int
) -> None:
    set_up(postgres)
    with worker(tmp_path, f"{postgres.dsn} {FOLLOWING}") as load:
        load.wait_for("ok", random.Random(seed).randrange(1, 40_000))
        load.process.kill()
        load.process.wait()
        idle = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'outlast'"
        wait_for("the server's backends gone", lambda: bool(postgres.query(idle)[0][0]))
        ops = read_ops(tmp_path / "ops")
    table = set(rows(postgres))
    known = set(acked(ops))
    open_ = set(ops.value[ops.complete_ns == NEVER].tolist())
    assert known <= table
    assert table <= known | open_
    assert len(open_) <= 4


def test_rows_without_the_end_of_the_reply_are_no_ack(postgres: Server, tmp_path: Path) -> None:
    """With no synchronous standby the commit never ends, though the server has sent the rows already."""
    set_up(postgres)
    postgres.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    postgres.query("SELECT pg_reload_conf()")
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    with worker(tmp_path, f"{postgres.dsn} {FOLLOWING}", clients=3, query_timeout_s=2) as load:
        wait_for("three commits waiting", lambda: len(postgres.query(waiting)) == 3)
        first, second, _ = (row[0] for row in postgres.query(waiting))
        postgres.query(f"SELECT pg_cancel_backend({first})")
        postgres.query(f"SELECT pg_terminate_backend({second})")
        load.wait_for("local", 2)
        load.wait_for("info", 1)
        ops = load.finish()
    assert not ops.outcome_is(Outcome.OK).any()
    assert "no answer within 2 s" in errors(ops, Outcome.INFO)
    local = ops.outcome_is(Outcome.LOCAL)
    assert set(ops.value[local].tolist()) <= set(rows(postgres))
    cancelled = local & (ops.timeline == 1)
    assert cancelled.sum() == 1


def test_a_crashed_server_leaves_unknown_ops_and_is_found_again(postgres: Server, tmp_path: Path) -> None:
    set_up(postgres)
    with worker(tmp_path, f"{postgres.dsn} {FOLLOWING}") as load:
        load.wait_for("ok", 200)
        postgres.stop(signal.SIGQUIT)
        load.wait_for("fail", 4)
        before = load.count("ok")
        postgres.start()
        load.wait_for("ok", before + 200)
        ops = load.finish()
    assert set(acked(ops)) <= set(rows(postgres))
    assert 1 <= ops.outcome_is(Outcome.INFO).sum() <= 4
    refused = ops.value[ops.outcome_is(Outcome.FAIL)]
    assert not set(refused.tolist()) & set(rows(postgres))
    assert all(text.startswith("not sent: ") for text in errors(ops, Outcome.FAIL))


def test_clients_follow_the_primary_and_see_the_timeline_change(postgres: Server, tmp_path: Path) -> None:
    set_up(postgres)
    standby = Server(tmp_path, "node-2")
    standby.copy_from(postgres)
    standby.start()
    both = f"host=127.0.0.1,127.0.0.1 port={standby.port},{postgres.port} user=postgres {FOLLOWING}"
    try:
        with worker(tmp_path, f"{both} sslmode=disable", rate_per_s=500) as load:
            load.wait_for("ok", 200)
            postgres.stop(signal.SIGQUIT)
            standby.query("SELECT pg_promote()")
            acks = load.count("ok")
            load.wait_for("ok", acks + 200)
            ops = load.finish()
        assert ops.node_names == ("node-1", "node-2")
        node, timeline = ops.node[ops.outcome_is(Outcome.OK)], ops.timeline[ops.outcome_is(Outcome.OK)]
        assert set(zip(node.tolist(), timeline.tolist(), strict=True)) == {(0, 1), (1, 2)}
        assert (np.diff(timeline) >= 0).all()
    finally:
        standby.stop(signal.SIGQUIT)


def test_a_client_pinned_to_a_standby_is_refused_until_the_promotion(
    postgres: Server, tmp_path: Path
) -> None:
    """Its connection survives the promotion, which is why each reply names the timeline."""
    set_up(postgres)
    standby = Server(tmp_path, "node-2")
    standby.copy_from(postgres)
    standby.start()
    try:
        with worker(tmp_path, standby.dsn, clients=1, rate_per_s=200) as load:
            load.wait_for("fail", 20)
            backend = "SELECT pid FROM pg_stat_activity WHERE application_name = 'outlast'"
            pid = standby.query(backend)
            standby.query("SELECT pg_promote()")
            load.wait_for("ok", 20)
            assert standby.query(backend) == pid
            ops = load.finish()
        assert set(ops.timeline[ops.outcome_is(Outcome.OK)].tolist()) == {2}
        assert ops.node_names == ("node-2",)
        refused = errors(ops, Outcome.FAIL) - {"not sent: every client is busy"}  # on a slow machine
        assert refused == {"25006: cannot execute INSERT in a read-only transaction"}
        assert acked(ops) == rows(standby)
    finally:
        standby.stop(signal.SIGQUIT)


def test_a_host_that_swallows_packets_does_not_hold_up_the_others(postgres: Server, tmp_path: Path) -> None:
    """The first host accepts connections and says nothing; libpq's non-blocking connect waits for ever."""
    set_up(postgres)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(64)
        dsn = (
            f"host=127.0.0.1,127.0.0.1 port={mute.getsockname()[1]},{postgres.port} user=postgres {FOLLOWING}"
        )
        with worker(tmp_path, f"{dsn} dbname=postgres", connect_timeout_s=0.3) as load:
            load.wait_for("ok", 100)
            wait_for("all four connected", lambda: backends(postgres) == 4)
            load.finish()


def backends(server: Server) -> int:
    found = server.query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'outlast'")
    return int(str(found[0][0]))


@pytest.mark.alone
def test_a_frozen_server_costs_time_outs_and_the_rate_is_on_record_in_full(
    postgres: Server, tmp_path: Path
) -> None:
    """Every due op is in the history: acknowledged, unknown, or not sent."""
    set_up(postgres)
    start_ns = now_ns() + NS_PER_S
    window = {"start_ns": start_ns, "stop_ns": start_ns + 5 * NS_PER_S, "rate_per_s": 200}
    with worker(tmp_path, f"{postgres.dsn} {FOLLOWING}", query_timeout_s=1, drain_s=1, **window) as load:
        load.wait_for("ok", 100)
        pids = [postgres.pid, *children(postgres.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        load.wait_for("info", 4)
        load.wait_for("fail", 50)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        load.process.wait(timeout=scaled(20))
        ops = read_ops(tmp_path / "ops")
    assert len(ops) == 5 * 200
    sent = ops.process < 4
    assert (ops.outcome[~sent] == Outcome.FAIL).all()
    assert errors(ops, Outcome.FAIL) <= {
        "not sent: every client is busy",
        "not sent: no connection within 2 s",
        "not sent: no answer within 1 s",
    }
    took_s = (ops.complete_ns - ops.invoke_ns)[ops.outcome_is(Outcome.INFO)] / NS_PER_S
    assert (took_s < 1.1).all()
    assert set(acked(ops)) <= set(rows(postgres))


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.alone
def test_the_rate_is_exact_and_shared_between_workers(postgres: Server, tmp_path: Path) -> None:
    set_up(postgres)
    start_ns = now_ns() + 2 * NS_PER_S
    whole = WorkerConfig(
        "w",
        str(tmp_path / "ops"),
        postgres.dsn,
        5,
        rate_per_s=300,
        start_ns=start_ns,
        stop_ns=start_ns + 2 * NS_PER_S,
    )
    parts = split(whole, 2)
    loads = [Running(tmp_path, part) for part in parts]
    for load in loads:
        assert load.process.wait(timeout=scaled(20)) == 0
    ops = read_ops(tmp_path / "ops")
    assert len(ops) == 600
    assert [part.clients for part in parts] == [3, 2]
    due_ns = start_ns + np.arange(600) * NS_PER_S / 300
    late_ms = (ops.invoke_ns - due_ns) / 1e6
    assert np.percentile(late_ms, 50) < 5
    assert late_ms.min() > -0.001
    assert acked(ops) == rows(postgres)


def test_a_config_that_cannot_work_is_one_clear_error(tmp_path: Path) -> None:
    def run(config: dict[str, object]) -> tuple[int, str]:
        (tmp_path / "c.json").write_text(json.dumps(config))
        command = [sys.executable, "-m", "outlast.workloads.worker", str(tmp_path / "c.json")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=scaled(30))
        return done.returncode, done.stderr

    good: dict[str, object] = {
        "name": "w",
        "ops_folder": str(tmp_path / "ops"),
        "dsn": "host=1.2.3.4",
        "clients": 1,
    }
    for wrong, said in (
        ({"workload": "nope"}, "workload: no such workload: nope"),
        ({"colour": 1}, "c.json: colour: is no key of a worker config"),
        ({"dsn": "host=a password=secret"}, "hint: put it into a 0600 file"),
        ({"dsn": "what?"}, "dsn: is no connection string"),
    ):
        code, stderr = run({**good, **wrong})
        assert (code, "Traceback" in stderr) == (64, False)
        assert said in stderr
        assert "secret" not in stderr


def test_a_password_file_is_used_and_a_wrong_one_is_said(postgres: Server, tmp_path: Path) -> None:
    set_up(postgres)
    postgres.query("CREATE ROLE app LOGIN PASSWORD 'open sesame'")
    postgres.query("GRANT INSERT, SELECT ON outlast_append TO app")
    (postgres.data / "pg_hba.conf").write_text(
        "host all postgres all trust\nhost all app all scram-sha-256\n"
    )
    postgres.query("SELECT pg_reload_conf()")
    passfile = tmp_path / "pass"
    passfile.write_text("127.0.0.1:*:*:app:open sesame\n")
    passfile.chmod(0o600)
    dsn = postgres.dsn.replace("user=postgres", "user=app")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)
    with worker(tmp_path, f"{dsn} {FOLLOWING}", passfile=str(passfile)) as load:
        load.wait_for("ok", 10)
        assert b"sesame" not in Path(f"/proc/{load.process.pid}/cmdline").read_bytes()
        assert load.finish().outcome_is(Outcome.OK).any()


def test_the_content_hash_depends_on_rows_and_not_on_their_order(postgres: Server) -> None:
    def content() -> tuple[object, ...]:
        return postgres.query(content_sql("outlast_append"))[0]

    set_up(postgres)
    assert content() == (0, "0")
    postgres.query("INSERT INTO outlast_append SELECT generate_series(1, 1000)")
    ascending = content()
    set_up(postgres)
    postgres.query("INSERT INTO outlast_append SELECT generate_series(1000, 1, -1)")
    assert content() == ascending
    postgres.query("UPDATE outlast_append SET id = 1001 WHERE id = 500")
    changed = content()
    assert (changed[0], changed[1] == ascending[1]) == (1000, False)


def test_the_final_read_returns_what_the_table_holds(postgres: Server) -> None:
    set_up(postgres)
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        assert read_values(connection, APPEND.values_sql).tolist() == []
        postgres.query("INSERT INTO outlast_append SELECT generate_series(1, 3000000, 3000)")
        values = read_values(connection, APPEND.values_sql)
        assert values.tolist() == list(range(1, 3000000, 3000))
        assert values.dtype == np.int64
        for wrong in ("SELECT NULL::bigint", "SELECT 1::int", "SELECT 1::bigint, 2::bigint"):
            with pytest.raises(ClusterError, match="one bigint column"):
                read_values(connection, wrong)
