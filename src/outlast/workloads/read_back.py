"""Reads back what a load left, from where its clients stand:

python -m outlast.workloads.read_back CONFIG.json OUT.npz
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np

from outlast.errors import ConfigError, OutlastError
from outlast.workloads.config import WorkerConfig
from outlast.workloads.protocol_client import Contents
from outlast.workloads.protocol_registry import READERS


async def read_back(config: WorkerConfig) -> Contents:
    """Return what the load of a config left; {} for a load that is judged by its ops alone. Raises OSError."""
    reader = READERS.get((config.workload, config.transport))
    return {} if reader is None else await reader(config)


def main(arguments: list[str]) -> int:
    """Read as one config says, and write the arrays to a file."""
    if len(arguments) != 2:
        print("usage: python -m outlast.workloads.read_back CONFIG.json OUT.npz", file=sys.stderr)
        return ConfigError.exit_code
    try:
        found = asyncio.run(read_back(WorkerConfig.read(Path(arguments[0]))))
    except (OutlastError, OSError) as error:
        print(str(error) or type(error).__name__, file=sys.stderr)
        return 1
    with Path(arguments[1]).open("wb") as file:
        np.savez(file, **dict(found))  # type: ignore[arg-type]  # numpy types its own allow_pickle into the **kwds
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
