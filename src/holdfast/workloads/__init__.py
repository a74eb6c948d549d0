"""What clients do to a cluster, and the worker processes that do it."""

from holdfast.workloads.append import Append
from holdfast.workloads.base import Call, Workload
from holdfast.workloads.config import WorkerConfig, split

__all__ = ["WORKLOADS", "Append", "Call", "WorkerConfig", "Workload", "split"]

WORKLOADS: dict[str, Workload] = {Append.name: Append()}
"""Every workload by name."""
