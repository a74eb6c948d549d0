"""Workload ``log``: messages with unique numbers, appended to a replicated log. Its final read consumes all of it.

Over the Kafka protocol to any cluster that speaks it, with acks=all and one attempt a message: what a producer's
retries would hide is what is measured. On etcd a message is a key that is written once. The number is an op's value,
the partition its key, and the offset that the acknowledgement names its LSN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar

import numpy as np

from outlast.history.op import I64
from outlast.workloads.base import Invocation, Options, unique_number
from outlast.workloads.protocol_client import Contents


@dataclass(frozen=True, slots=True)
class LogWorkload:
    """Appends unique numbers. partitions: how many; a process keeps to one. bytes: of a message, at least."""

    name: ClassVar[str] = "log"
    route: ClassVar[str] = "log-primary"
    tables: ClassVar[tuple[str, ...]] = ()
    setup: ClassVar[tuple[str, ...]] = ()
    statement: ClassVar[str] = "append"
    values_sql: ClassVar[str] = ""
    params: ClassVar[Mapping[str, int]] = {"partitions": 1, "bytes": 64}
    checkers: ClassVar[tuple[str, ...]] = ("lost_writes", "log_order", "outage")

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield appends; there is nothing to choose."""
        partition = process % max(1, options.params.get("partitions", 1))
        n = 0
        while True:
            yield Invocation(unique_number(process, n), [], partition)
            n += 1


def contents_of(partitions: Mapping[int, tuple[I64, I64]]) -> Contents:
    """Return what a log holds, as a final read has it: from each partition's values in log order, and their offsets.

    ``log``: all values, sorted. ``log@P``, ``log@P/offsets``: those of partition P in order.
    """
    contents: dict[str, I64] = {}
    for number, (values, offsets) in partitions.items():
        contents[f"log@{number}"] = values
        contents[f"log@{number}/offsets"] = offsets
    everything = [values for values, _ in partitions.values()]
    contents["log"] = np.sort(np.concatenate(everything)) if everything else np.array([], dtype=np.int64)
    return contents
