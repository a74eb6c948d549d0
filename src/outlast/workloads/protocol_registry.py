"""Which client a workload has on which kind of route, and how what it left is read back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from outlast.errors import ConfigError
from outlast.workloads.config import WorkerConfig
from outlast.workloads.etcd_client import EtcdLog, EtcdRegisters, read_etcd_log
from outlast.workloads.kafka_client import KafkaLog, read_kafka_log
from outlast.workloads.protocol_client import Contents, ProtocolClient
from outlast.workloads.raftlog_client import RaftlogRegisters

CLIENTS: Final[Mapping[tuple[str, str], Callable[[WorkerConfig, int], ProtocolClient]]] = {
    ("log", "kafka"): KafkaLog,
    ("log", "etcd"): EtcdLog,
    ("kv", "etcd"): EtcdRegisters,
    ("kv", "raftlog"): RaftlogRegisters,
}
"""By workload and kind of route."""

READERS: Final[Mapping[tuple[str, str], Callable[[WorkerConfig], Awaitable[Contents]]]] = {
    ("log", "kafka"): read_kafka_log,
    ("log", "etcd"): read_etcd_log,
}
"""How the final read is made; a load without one is judged by its ops alone."""


def client_for(config: WorkerConfig, number: int) -> ProtocolClient:
    """Return a worker's client of that number. Raises ConfigError when its protocol is not spoken here."""
    make = CLIENTS.get((config.workload, config.transport))
    if make is None:
        raise ConfigError(
            f"the workload {config.workload} does not speak {config.transport}",
            hint=", ".join(f"{workload} over {kind}" for workload, kind in CLIENTS),
        )
    try:
        return make(config, number)
    except ValueError as error:
        raise ConfigError(str(error), key="dsn") from error
