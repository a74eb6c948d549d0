"""A worker process: the clients of one config, in a loop that suits their protocol.

python -m outlast.workloads.worker CONFIG.json
"""

from __future__ import annotations

import gc
import signal
import sys
from pathlib import Path
from typing import Protocol

from outlast.errors import ConfigError, OutlastError
from outlast.workloads import WORKLOADS
from outlast.workloads.config import WorkerConfig
from outlast.workloads.protocol_client import LIBPQ
from outlast.workloads.sql_worker import SqlWorker
from outlast.workloads.transaction_worker import TransactionWorker


class Worker(Protocol):
    """What a worker process does with its worker."""

    def run(self) -> None:
        """Run to the end of the config's time."""
        ...

    def stop(self) -> None:
        """Send no more ops."""
        ...


def make_worker(config: WorkerConfig) -> Worker:
    """Return the worker for a config's workload: of single statements, of transactions, or of another protocol."""
    if config.transport != LIBPQ:
        from outlast.workloads.protocol_worker import ProtocolWorker  # here: clients of libpq need no asyncio

        return ProtocolWorker(config)
    if config.workload in WORKLOADS and not WORKLOADS[config.workload].statement:
        return TransactionWorker(config)
    return SqlWorker(config)


def main(arguments: list[str]) -> int:
    """Run the worker of one config file; SIGTERM and SIGINT stop it in good order."""
    if len(arguments) != 1:
        print("usage: python -m outlast.workloads.worker CONFIG.json", file=sys.stderr)
        return ConfigError.exit_code
    try:
        worker = make_worker(WorkerConfig.read(Path(arguments[0])))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        gc.freeze()
        gc.disable()  # the loop makes no cycles, and a collection would show up as latency
        worker.run()
    except OutlastError as error:
        print(
            f"error: {error.message}",
            *([f"hint: {error.hint}"] if error.hint else []),
            sep="\n",
            file=sys.stderr,
        )
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
