"""What clients do to a cluster, and the worker processes that do it."""

from outlast.workloads.append import Append
from outlast.workloads.bank import Bank
from outlast.workloads.base import Call, Options, Workload
from outlast.workloads.command import Command
from outlast.workloads.config import WorkerConfig, split
from outlast.workloads.counter import Counter
from outlast.workloads.healthcare import Healthcare
from outlast.workloads.kv import Kv
from outlast.workloads.list_append import ListAppend
from outlast.workloads.log import Log
from outlast.workloads.long_fork import LongFork
from outlast.workloads.patients import Patients, PatientsRead
from outlast.workloads.pgbench import Pgbench
from outlast.workloads.read_load import ReadLoad
from outlast.workloads.register import Register
from outlast.workloads.rw_register import RwRegister
from outlast.workloads.set import Set
from outlast.workloads.soak_writer import SoakWriter
from outlast.workloads.transactions import Transactions
from outlast.workloads.vectors import Vectors

__all__ = ["WORKLOADS", "Append", "Call", "Options", "WorkerConfig", "Workload", "split"]

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Append(),
        Register(),
        ListAppend(),
        RwRegister(),
        Bank(),
        Counter(),
        Set(),
        LongFork(),
        Patients(),
        PatientsRead(),
        Log(),
        Kv(),
        SoakWriter(),
        ReadLoad(),
        Transactions(),
        Healthcare(),
        Vectors(),
        Command(),
        Pgbench(),
    )
}
"""Every workload by name."""
