"""What clients do to a cluster, and the worker processes that do it."""

from outlast.workloads.append import AppendWorkload
from outlast.workloads.bank import BankWorkload
from outlast.workloads.base import Invocation, Options, Workload
from outlast.workloads.command import CommandWorkload
from outlast.workloads.config import WorkerConfig, split
from outlast.workloads.counter import CounterWorkload
from outlast.workloads.healthcare import HealthcareWorkload
from outlast.workloads.kv import KvWorkload
from outlast.workloads.list_append import ListAppendWorkload
from outlast.workloads.log import LogWorkload
from outlast.workloads.long_fork import LongForkWorkload
from outlast.workloads.patients import PatientsReadWorkload, PatientsWorkload
from outlast.workloads.pgbench import PgbenchWorkload
from outlast.workloads.read_load import ReadLoadWorkload
from outlast.workloads.register import RegisterWorkload
from outlast.workloads.rw_register import RwRegisterWorkload
from outlast.workloads.set import SetWorkload
from outlast.workloads.soak_writer import SoakWriterWorkload
from outlast.workloads.transactions import TransactionsWorkload
from outlast.workloads.vectors import VectorsWorkload

__all__ = ["WORKLOADS", "AppendWorkload", "Invocation", "Options", "WorkerConfig", "Workload", "split"]

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        AppendWorkload(),
        RegisterWorkload(),
        ListAppendWorkload(),
        RwRegisterWorkload(),
        BankWorkload(),
        CounterWorkload(),
        SetWorkload(),
        LongForkWorkload(),
        PatientsWorkload(),
        PatientsReadWorkload(),
        LogWorkload(),
        KvWorkload(),
        SoakWriterWorkload(),
        ReadLoadWorkload(),
        TransactionsWorkload(),
        HealthcareWorkload(),
        VectorsWorkload(),
        CommandWorkload(),
        PgbenchWorkload(),
    )
}
"""Every workload by name."""
