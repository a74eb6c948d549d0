"""``bench load``: ``append`` at full speed against ``pgbench -M prepared``, same statement, same clients.

Both run against one server (fsync off), in turns, each time on an emptied table. Ours records every op.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.bare_postgres import Server, pgbench_tps, running
from benchmarks.case import Case
from outlast.clock import now_ns, seconds_between
from outlast.history.op import Outcome
from outlast.history.reading import read_ops
from outlast.units import NS_PER_S
from outlast.workloads import WORKLOADS, WorkerConfig, split

_START_UP_NS = 2 * NS_PER_S
_SCRIPT = r"""\set n :n + 1
\set id :client_id * 1099511627776 + :n
{statement};
"""


def reset(server: Server) -> None:
    """Empty the table and leave no checkpoint due."""
    for statement in WORKLOADS["append"].setup:
        server.query(statement)
    server.query("CHECKPOINT")


def ours(server: Server, folder: Path, clients: int, workers: int, seconds: float) -> float:
    """Return our acknowledged ops a second, from the first one on as pgbench counts."""
    reset(server)
    start_ns = now_ns() + _START_UP_NS
    stop_ns = start_ns + int(seconds * NS_PER_S)
    dsn = f"{server.dsn} target_session_attrs=read-write"
    whole = WorkerConfig("load", str(folder / "ops"), dsn, clients, start_ns=start_ns, stop_ns=stop_ns)
    processes = []
    for config in split(whole, workers):
        path = folder / f"{config.name}.json"
        config.write(path)
        processes.append(subprocess.Popen([sys.executable, "-m", "outlast.workloads.worker", str(path)]))
    for process in processes:
        if process.wait() != 0:
            raise RuntimeError("a worker failed")
    ops = read_ops(folder / "ops")
    acked = ops.outcome_is(Outcome.OK)
    return float(acked.sum()) / seconds_between(int(ops.invoke_ns[0]), int(ops.complete_ns[acked].max()))


def pgbench(server: Server, folder: Path, clients: int, workers: int, seconds: float) -> float:
    """Return pgbench's transactions a second with the same statement, workers being its threads."""
    reset(server)
    script = folder / "append.sql"
    statement = WORKLOADS["append"].statement.replace("$1::bigint", ":id")
    script.write_text(_SCRIPT.format(statement=statement))
    return pgbench_tps(server, script, clients, workers, seconds)


def cases(clients: int = 8, workers: int = 1, seconds: float = 5, rounds: int = 3) -> list[Case]:
    """Return the case, the median of some rounds in which the two take turns to go first."""
    mine: list[float] = []
    theirs: list[float] = []
    with (
        tempfile.TemporaryDirectory() as name,
        running(Path(name), shared_buffers="256MB", max_wal_size="4GB") as server,
    ):
        for number in range(rounds):
            folder = Path(name) / f"round{number}"
            folder.mkdir()
            turns = [(ours, mine), (pgbench, theirs)]
            for measure, results in turns if number % 2 == 0 else reversed(turns):
                results.append(measure(server, folder, clients, workers, seconds))
    median = statistics.median
    return [Case(f"append, {clients} clients", median(mine), "ops/s", median(theirs), "pgbench -M prepared")]
