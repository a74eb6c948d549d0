"""What clients do to a cluster, and the worker processes that do it."""

from holdfast.workloads.append import Append
from holdfast.workloads.bank import Bank
from holdfast.workloads.base import Call, Options, Workload
from holdfast.workloads.command import Command
from holdfast.workloads.config import WorkerConfig, split
from holdfast.workloads.counter import Counter
from holdfast.workloads.healthcare import Healthcare
from holdfast.workloads.kv import Kv
from holdfast.workloads.list_append import ListAppend
from holdfast.workloads.log import Log
from holdfast.workloads.long_fork import LongFork
from holdfast.workloads.patients import Patients, PatientsRead
from holdfast.workloads.pgbench import Pgbench
from holdfast.workloads.read_load import ReadLoad
from holdfast.workloads.register import Register
from holdfast.workloads.rw_register import RwRegister
from holdfast.workloads.set import Set
from holdfast.workloads.soak_writer import SoakWriter
from holdfast.workloads.transactions import Transactions
from holdfast.workloads.vectors import Vectors

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
