"""The contract between the runner and a worker process: one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from outlast.errors import ConfigError
from outlast.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What one worker process does.

    name: of the worker, and of its recording's folder in ops_folder. workload: see ``WORKLOADS``.

    dsn: a libpq connection string. With several hosts and ``target_session_attrs=read-write`` the clients
    follow the primary; with one host they are pinned to it. No password in it: passfile is the path of a
    libpq password file (0600), "" to leave that to PGPASSFILE.

    clients: how many, one op open at a time each; client i is process first_process + i of the history, and
    process first_process + clients stands for ops that no client was free to send. seed: for every choice.

    rate_per_s: of all clients together (open loop), or None: as fast as possible (closed loop).
    start_ns, stop_ns: monotonic; ops are sent from start_ns (0: from the first connection on) until stop_ns
    (0: until SIGTERM).

    connect_timeout_s: for each host. query_timeout_s: after it an op is unknown and its connection dropped.
    tcp_user_timeout_s: for data the peer does not acknowledge. retry_min_s, retry_max_s: the pause after all
    hosts were tried in vain, doubling, with jitter. late_max_s: a due op not sent by then is recorded as not
    sent. drain_s: how long open ops may take to finish after the stop. prepared: False behind a pooler that
    does not carry prepared statements (PgBouncer before 1.21); still one round trip an op.

    transport: the kind of the route, ``libpq`` or one of ``transports``; of those others the dsn is
    ``host:port,host:port``. pinned: keep to the one address of the dsn, whoever leads. target: what is written to: a
    topic, a prefix of keys. nodes: names by address, for the record.
    pause_s: after an op has ended, before a client of a closed loop sends the next.

    argv, folder: of a load that is a program: what is run, and where.

    level: isolation of ops that are transactions, as a drill writes it.
    reads_only, params, epoch_ns: see ``workloads.base.Options``.
    """

    name: str
    ops_folder: str
    dsn: str
    clients: int
    workload: str = "append"
    first_process: int = 0
    seed: int = 0
    rate_per_s: float | None = None
    start_ns: int = 0
    stop_ns: int = 0
    passfile: str = ""
    prepared: bool = True
    connect_timeout_s: float = 2.0
    query_timeout_s: float = 5.0
    tcp_user_timeout_s: float = 3.0
    retry_min_s: float = 0.05
    retry_max_s: float = 0.5
    late_max_s: float = 0.1
    drain_s: float = 5.0
    pause_s: float = 0.0
    level: str = "read-committed"
    reads_only: bool = False
    params: Mapping[str, int] = field(default_factory=dict)
    argv: Sequence[str] = ()
    folder: str = ""
    epoch_ns: int = 0
    transport: str = "libpq"
    pinned: bool = False
    target: str = ""
    nodes: Mapping[str, str] = field(default_factory=dict)

    @property
    def processes(self) -> int:
        """How many process numbers it takes, from first_process on."""
        return self.clients + 1

    def write(self, path: Path) -> None:
        """Write the config as JSON. Raises OSError."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> WorkerConfig:
        """Return the config in a file. Raises ConfigError naming file and key."""
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot be read: {error}", file=str(path)) from error
        if not isinstance(stored, dict):
            raise ConfigError("is no worker config", file=str(path))
        known = {field.name for field in fields(cls)}
        for key in stored.keys() - known:
            raise ConfigError("is no key of a worker config", file=str(path), key=key)
        for key in ("name", "ops_folder", "dsn", "clients"):
            if key not in stored:
                raise ConfigError("is missing", file=str(path), key=key)
        return cls(**{**stored, "argv": tuple(stored.get("argv", ()))})


def split(config: WorkerConfig, workers: int) -> tuple[WorkerConfig, ...]:
    """Return configs that share one load between worker processes, named ``name-0``, ``name-1`` …

    Clients and rate are divided; the due times of the workers interleave. workers: at most as many as clients.
    """
    workers = max(1, min(workers, config.clients))
    first, parts = config.first_process, []
    for number in range(workers):
        clients = config.clients // workers + (number < config.clients % workers)
        part = replace(
            config,
            name=f"{config.name}-{number}",
            clients=clients,
            first_process=first,
            seed=config.seed + number,
        )
        if config.rate_per_s is not None:
            phase_ns = int(number * NS_PER_S / config.rate_per_s)
            start_ns = config.start_ns + phase_ns if config.start_ns else 0
            part = replace(part, rate_per_s=config.rate_per_s / workers, start_ns=start_ns)
        parts.append(part)
        first += part.processes
    return tuple(parts)
