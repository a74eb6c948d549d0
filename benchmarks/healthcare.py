"""``bench healthcare``: the clinic's read by last name and its single-row insert, beside ``pgbench -M prepared``.

One server (fsync off) with 40,000 made rows, 10,000 patients among them. Both send the same statement and take turns
to go first. Ours records every op.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

from benchmarks.bare_postgres import Server, pgbench_tps, running
from benchmarks.case import Case
from outlast.clock import now_ns, seconds_between
from outlast.datasets.healthcare import HealthcareDataset
from outlast.history.op import Outcome
from outlast.history.reading import read_ops
from outlast.units import NS_PER_S
from outlast.workloads import WORKLOADS, WorkerConfig

ROWS = 40_000
CLIENTS = 4
SECONDS = 4.0
ROUNDS = 3
_START_UP_NS = 2 * NS_PER_S
_CASES = {"patients-read": "read, last_name LIKE 'S%'", "patients": "insert, one row"}


def load(server: Server) -> float:
    """Make the clinic's schema and rows; returns rows a second, constraints and indexes included."""
    dataset, rows, start = HealthcareDataset(), 0, now_ns()
    with psycopg.connect(server.dsn) as connection:
        for statement in dataset.schema:
            connection.execute(statement.encode())
        for batch in dataset.generated(ROWS, 1):
            command = f"COPY {batch.table} ({', '.join(batch.columns)}) FROM STDIN (FREEZE)"
            with connection.cursor().copy(command.encode()) as copy:
                copy.write(batch.data)
            rows += batch.rows
        for statement in dataset.constraints:
            connection.execute(statement.encode())
    took_s = seconds_between(start, now_ns())
    server.query("VACUUM ANALYZE")
    return rows / took_s


def ours(server: Server, folder: Path, workload: str) -> float:
    """Return our acknowledged ops a second, from the first one on as pgbench counts."""
    _reset(server, workload)
    start_ns = now_ns() + _START_UP_NS
    config = WorkerConfig(workload, str(folder / "ops"), f"{server.dsn} target_session_attrs=read-write", CLIENTS,
                          workload=workload, start_ns=start_ns, stop_ns=start_ns + int(SECONDS * NS_PER_S))  # fmt: skip
    path = folder / f"{workload}.json"
    config.write(path)
    subprocess.run([sys.executable, "-m", "outlast.workloads.worker", str(path)], check=True)
    ops = read_ops(folder / "ops")
    acked = ops.outcome_is(Outcome.OK)
    return float(acked.sum()) / seconds_between(int(ops.invoke_ns[0]), int(ops.complete_ns[acked].max()))


def pgbench(server: Server, folder: Path, workload: str) -> float:
    """Return pgbench's transactions a second with the same statement."""
    _reset(server, workload)
    script = folder / "statement.sql"
    statement = WORKLOADS[workload].statement.replace("$1::bigint", ":id::bigint")
    counter = "\\set n :n + 1\n\\set id :client_id * 1099511627776 + :n\n" if workload == "patients" else ""
    script.write_text(f"{counter}{statement};\n")
    return pgbench_tps(server, script, CLIENTS, 1, SECONDS)


def cases(rounds: int = ROUNDS) -> list[Case]:
    """Return the rows loaded a second and the median of some rounds for each statement. About a minute."""
    with (
        tempfile.TemporaryDirectory() as name,
        running(Path(name), shared_buffers="256MB", max_wal_size="4GB") as server,
    ):
        found = [Case("load, rows of eight tables", load(server), "rows/s")]
        for workload, case in _CASES.items():
            mine: list[float] = []
            theirs: list[float] = []
            for number in range(rounds):
                folder = Path(name) / f"{workload}-{number}"
                folder.mkdir()
                turns = [(ours, mine), (pgbench, theirs)]
                for measure, results in turns if number % 2 == 0 else reversed(turns):
                    results.append(measure(server, folder, workload))
            median = statistics.median
            found.append(Case(case, median(mine), "ops/s", median(theirs), "pgbench -M prepared"))
        return found


def _reset(server: Server, workload: str) -> None:
    for statement in WORKLOADS[workload].setup:
        server.query(statement)
    server.query("CHECKPOINT")
