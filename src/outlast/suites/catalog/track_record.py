"""Suite ``track-record``: known defects of real systems, each to be found, each with a control that must be clean.

What is known of each, and what closes it, stands in docs/track-record.md. A case names its system; ``--system`` leaves
out the others.
"""

from __future__ import annotations

from typing import Final

from outlast.suites.expected import LONG_FORK, Case, Expected

TITLE: Final = "Known defects of real systems are found, and what closes them is seen to"

_LOSS: Final = ("lost_writes", "split_brain", "replicas_equal", "outage", "experiment", "rejoin")
_PROMOTE_ONLY: Final = (
    "profile=fast",
    "pgpool.failover_command=promote-only",
    "sync=off",
    "recovery=15s",
)
_SHORT: Final = "duration=40s"

CASES: Final = (
    Case(
        "async-partition",
        "Asynchronous replication: a primary that is cut off acknowledges writes that are lost",
        "primary-partition",
        "patroni",
        ("profile=fast", "sync=off", _SHORT),
        Expected(
            ("lost_writes", "split_brain"),
            "asynchronous replication loses what a cut-off primary took",
            must=True,
        ),
    ),
    Case(
        "async-partition-control",
        "The same with sync=strict loses nothing",
        "primary-partition",
        "patroni",
        ("profile=fast", "sync=strict", _SHORT),
    ),
    Case(
        "patroni-without-watchdog",
        "Patroni alone is killed and nothing stops its PostgreSQL: two writers",
        "manager-kill",
        "patroni",
        ("profile=fast", "sync=off", "watchdog=off", _SHORT),
        Expected(_LOSS, "without a watchdog two nodes take writes", must=True),
    ),
    Case(
        "patroni-without-watchdog-control",
        "The same with a watchdog and sync=on: one writer, nothing lost",
        "manager-kill",
        "patroni",
        ("profile=fast", "sync=on", "watchdog=on", _SHORT),
    ),
    Case(
        "patroni-no-lag-allowed",
        "Patroni with maximum_lag_on_failover 0: nobody leads after a primary whose last WAL nobody confirmed",
        "unconfirmed-wal",
        "patroni",
        ("profile=fast", "sync=strict", "patroni.maximum_lag_on_failover=0"),
        Expected(
            ("outage", "leader_changes", "replicas_equal", "recovery"),
            "every standby lags behind the position that the dead primary published, and none may lead",
            must=True,
        ),
    ),
    Case(
        "long-fork",
        "A primary and its standbys show two writes in opposite orders",
        "long-fork",
        "patroni",
        ("profile=fast",),
        Expected(
            ("long_fork", "rw_register"),
            "reads at primary and standbys may disagree on the order of two writes",
            must=True,
            anomalies=LONG_FORK,
        ),
    ),
    Case(
        "pgpool-two-primaries",
        "Pgpool-II with a command that only promotes: a stopped primary wakes up as a second one",
        "frozen-primary",
        "pgpool",
        (*_PROMOTE_ONLY, "duration=25s"),
        Expected((*_LOSS, "recovery", "final_read"), "nobody stops the old primary", must=True),
    ),
    Case(
        "pgpool-two-primaries-control",
        "The same with a command that fences first: one primary",
        "frozen-primary",
        "pgpool",
        ("profile=fast", "duration=25s"),
    ),
    Case(
        "pg-auto-failover-cut-off-primary",
        "pg_auto_failover with its default time-outs: a primary that is cut off never gives up",
        "primary-partition",
        "pg_auto_failover",
        ("dataset=null", "sync=off", _SHORT),
        Expected(
            _LOSS,
            "its keeper hangs in the kernel's time-outs and acknowledges writes that are lost",
            must=True,
        ),
    ),
    Case(
        "pg-auto-failover-cut-off-primary-control",
        "The same with time-outs that let its keeper notice, and sync=on: nothing lost, one writer",
        "primary-partition",
        "pg_auto_failover",
        ("dataset=null", "profile=fast", "sync=on", _SHORT),
    ),
)
