"""What every workload is, and how a reply says which node gave it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple, Protocol, runtime_checkable

from outlast.errors import ConfigError
from outlast.history.op import Outcome

PROCESS_SHIFT: Final = 40
"""A unique number is ``process << PROCESS_SHIFT | n``: 2^23 processes of 2^40 ops each, all above 0."""

SERVED_BY: Final = (
    "pg_current_wal_insert_lsn(), "
    "left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) || coalesce(current_setting('outlast.node', true), '')"
)
"""The two columns by which a reply says where, on which timeline and by which node it was served.

They are asked for in every statement, not once a connection. For a direct connection once would do: only a
server outside recovery writes, its timeline is fixed until it stops, and stopping ends the connection (a
connection that a standby opened read-only survives its promotion, so even then "once" is once *it wrote*).
But a pooler or balancer moves a connection between servers unseen, and the price is about a microsecond:
``outlast.node``, a setting that each server is given, is a look-up, and the first eight digits of a WAL
file name are the timeline on which this very server inserts. ``pg_control_checkpoint()`` is no substitute: it
reads a file, and after a promotion shows the old timeline until the next checkpoint.

The position is that of the row's own record or a little later; its commit record follows.
"""

READ_BY: Final = (
    "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END, "
    "CASE WHEN pg_is_in_recovery() THEN '00000000' "
    "ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END "
    "|| coalesce(current_setting('outlast.node', true), '')"
)
"""``SERVED_BY`` for a read that a standby may serve too: how far it had replayed, and timeline 0, unknown,
since a server in recovery does not tell an ordinary user which timeline it is on."""

_SMALL_SHIFT: Final = 16
_PARAM_MAX: Final = 1000


def unique_number(process: int, n: int) -> int:
    """Return the n-th number of a process, unique in a run."""
    return process << PROCESS_SHIFT | n


def small_number(process: int, n: int) -> int:
    """Return the n-th number of a process (below 65,536), unique in a run and short to read."""
    return n << _SMALL_SHIFT | process


class TxnStep(NamedTuple):
    """One statement of a transaction, its parameters as text.

    Its result's first two columns are ``SERVED_BY`` or ``READ_BY``, a third one is what it read. needed: whether
    the transaction is given up, and certainly did not happen, when there is no row.
    """

    sql: bytes
    params: Sequence[bytes]
    needed: bool = False


Answers = Sequence[bytes | None]
"""What each step read: its third column as text; None for a null, no row or no such column."""


class Txn(NamedTuple):
    """One op that is a transaction. f: its function. steps: its statements, between BEGIN and COMMIT.

    payload: its value as JSON, as it is invoked. told: from what the steps read to what the history says once it
    is acknowledged: an integer is the op's value, text its payload as JSON, None leaves it as it is.
    """

    f: str
    steps: Sequence[TxnStep]
    payload: str | None = None
    told: Callable[[Answers], int | str | None] = lambda _answers: None


class Invocation(NamedTuple):
    """One op to send. value, key: as the history records them. params: of the statement, in binary format.

    txn: what is sent instead of the workload's statement by a workload of transactions.
    """

    value: int
    params: list[bytes]
    key: int | None = None
    txn: Txn | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What a drill may choose of a workload's ops.

    reads_only: only read, for clients of standbys. params: the workload's own, complete (``with_defaults``).
    epoch_ns: monotonic; the moment from which all clients of a run count, where they must choose alike.
    first_process, clients: of the worker, for those whose clients share one sequence between them.
    """

    reads_only: bool = False
    params: Mapping[str, int] = field(default_factory=dict)
    epoch_ns: int = 0
    first_process: int = 0
    clients: int = 1


class Workload(Protocol):
    """A kind of load: its table, its endless ops, what its clients send, and who judges it.

    Implementations are stateless: a worker process finds one by name and drives it. There are two sorts: ops of
    one statement, in a transaction of its own and one round trip, and ops that are transactions (``Invocation.txn``).
    """

    @property
    def name(self) -> str:
        """The name under which drills and histories know it; also the function of ops that are no ``Txn``."""
        ...

    @property
    def setup(self) -> tuple[str, ...]:
        """SQL statements, run in order on the primary before the load; a table of an earlier run goes."""
        ...

    @property
    def statement(self) -> str:
        """What a client sends for each op. Its first two result columns are ``SERVED_BY``. "": transactions."""
        ...

    @property
    def params(self) -> Mapping[str, int]:
        """What a drill may set, with defaults. ``readers``, where it is there: clients that only read, any node."""
        ...

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield the ops of one process for ever; every choice comes from rng, or from the time."""
        ...

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that replicas must agree on."""
        ...

    @property
    def values_sql(self) -> str:
        """The final read: a query of one bigint column, sorted, without nulls. "": there is none."""
        ...

    @property
    def checkers(self) -> tuple[str, ...]:
        """Names of the checkers that judge it, as ``run.checks`` knows them."""
        ...


@runtime_checkable
class Paced(Protocol):
    """A workload whose ops are due in a rhythm of their own, not evenly."""

    @property
    def rate_per_s(self) -> float:
        """Ops a second on average, when nobody asks for another rate; another one stretches the rhythm."""
        ...

    def due_s(self, number: int) -> float:
        """Return when op number 0, 1, … of all clients together is due, in seconds since the start."""
        ...


@runtime_checkable
class Audited(Protocol):
    """A workload whose rows are compared one by one with what was acknowledged of each."""

    @property
    def rows_sql(self) -> str:
        """A query of one bigint column that lists every row, several numbers each, as its checker reads them."""
        ...


@runtime_checkable
class OwnProgram(Protocol):
    """A load that is a program of somebody's: see ``workloads.own_program``."""

    @property
    def restarts(self) -> bool:
        """Whether it is started again when it ends before its time."""
        ...

    def argv(self, given: Mapping[str, object], clients: int) -> tuple[str, ...]:
        """Return the program and its arguments from the drill's settings. Raises ConfigError."""
        ...

    def heard(self, line: str) -> Outcome | None:
        """Return what a line of its output says of an operation; None: nothing."""
        ...


@runtime_checkable
class NeedsSuperuser(Protocol):
    """A workload whose tables need something that only the superuser may make."""

    @property
    def superuser_setup(self) -> tuple[str, ...]:
        """SQL statements, run as the superuser before ``setup``."""
        ...


@runtime_checkable
class OnReadOnly(Protocol):
    """A workload that runs on each read-only node, or each standby where there are none, by clients of its own."""

    @property
    def pinned_to_read_only(self) -> bool:
        """True."""
        ...


def with_defaults(workload: Workload, given: Mapping[str, object]) -> dict[str, int]:
    """Return a workload's params, those given and the defaults of all others. Raises ConfigError."""
    if isinstance(workload, OwnProgram):
        workload.argv(given, 1)  # it knows its own settings
        return {}
    for name, value in given.items():
        key = f"workload.{workload.name}.{name}"
        if name not in workload.params:
            known = ", ".join(("clients", "rate", *workload.params))
            raise ConfigError("is no setting of this workload", key=key, hint=f"choose one of: {known}")
        if type(value) is not int or not 0 <= value <= _PARAM_MAX:
            raise ConfigError(f"must be a whole number from 0 to {_PARAM_MAX}, got {value!r}", key=key)
    return {**workload.params, **{name: value for name, value in given.items() if isinstance(value, int)}}


def content_sql(table: str) -> str:
    """Return the query for (row count, content hash as text) of a table.

    The hash is the sum of a 64-bit hash of each row, so it does not depend on the order in which a node
    stores them; one pass, about 0.2 s for a million small rows. It needs PostgreSQL 14.
    """
    return f"SELECT count(*), coalesce(sum(hash_record_extended(t.*, 0)), 0)::text FROM {table} AS t"


def text_content_sql(table: str) -> str:
    """Return the query of ``content_sql`` for a table with a type that has no hash of its own: slower, by its text."""
    return f"SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {table} AS t"
