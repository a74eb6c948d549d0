"""What can be asked of any cluster, whoever made it: who is what, how to reach it, what it holds."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from outlast.api.acked_writes import describe_missing, read_values, values_query
from outlast.api.connection_info import ConnectionInfo
from outlast.api.loop_thread import LoopThread
from outlast.clock import deadline_ns, now_ns
from outlast.errors import ClusterError, ConfigError, OutlastError
from outlast.systems.base import ClusterView, NodeView, Role
from outlast.systems.postgres.views import Connection

T = TypeVar("T")

POLL_S: Final = 0.1
STATES: Final = ("whole", "writable", "failed-over")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long is waited and what is too much. ready_s: for a whole cluster; failover_s: for a new primary, None
    for what the system's own settings promise; lag_s: of a standby's replay."""

    ready_s: float = 120.0
    failover_s: float | None = None
    lag_s: float = 5.0


class ClusterHandle(ABC):
    """A cluster that is up. Every call is synchronous and bounded; none is meant for an event loop's thread."""

    def __init__(self, runner: LoopThread, name: str, limits: Limits) -> None:
        self._runner = runner
        self._before_fault: str | None = None
        self.name = name
        self.limits = limits

    @abstractmethod
    async def _view(self) -> ClusterView:
        """Return what it shows now. Raises ClusterError when nothing"""

    @abstractmethod
    async def _connect(self) -> Connection:
        """Connect to the surviving primary. Raises ClusterError, psycopg.Error."""

    @property
    @abstractmethod
    def endpoints(self) -> ConnectionInfo:
        """Where its servers are, for a program outside."""

    @property
    @abstractmethod
    def failover_timeout_s(self) -> float:
        """How long a new primary is waited for."""

    # who is what

    def view(self) -> ClusterView:
        """Return what the cluster shows now: ready, primary, nodes, and what is missing, in words."""
        return self._runner.run(self._view())

    @property
    def nodes(self) -> tuple[NodeView, ...]:
        """All members as they are now: name, role, state, timeline, lag, published port."""
        return self.view().nodes

    @property
    def primary(self) -> str:
        """The name of the node that takes writes now. Raises ClusterError while there is none."""
        view = self.view()
        if view.primary is None:
            raise ClusterError(f"no node of {self.name} accepts writes now", hint='wait_until("writable")')
        return view.primary

    @property
    def standbys(self) -> tuple[str, ...]:
        """The names of the standbys, read-only nodes among them, whether or not they answer."""
        return tuple(node.name for node in self.nodes if node.role in (Role.STANDBY, Role.READ_ONLY))

    # how to reach it

    def dsn(self, role: str = "primary", **parameters: str | int) -> str:
        """Return libpq's connection string for ``primary``, ``standby``, ``any`` or a node's name.

        It names all servers and the session attributes to look for, so that a client finds the primary by itself; it
        bounds each attempt (``connect_timeout``, 2 s) and dead connections (``tcp_user_timeout``, 5 s), and names a
        passfile instead of a password. parameters: further ones of libpq, or others than these.
        """
        return self.endpoints.dsn(role, **parameters)

    def url(self, role: str = "primary", scheme: str = "postgresql+psycopg", **parameters: str | int) -> str:
        """Return the same as a URL for ``sqlalchemy.create_engine``."""
        return self.endpoints.url(role, scheme, **parameters)

    def asyncpg(self, role: str = "primary") -> dict[str, object]:
        """Return the arguments for ``asyncpg.connect`` and ``asyncpg.create_pool``, which do not read libpq's."""
        return self.endpoints.asyncpg(role)

    # waiting

    def wait_until(self, what: str | Callable[[], T], timeout_s: float | None = None) -> T | str:
        """Wait for a state, or until a callable returns something true, which is returned.

        what: ``whole`` (every node is where it belongs), ``writable`` (some node takes writes; its name is returned),
        ``failed-over`` (a node that was not primary when the last fault was injected takes writes), or a callable, in
        which errors of a database driver mean "not yet". timeout_s: default from the limits.

        Raises ClusterError that says what was last seen.
        """
        if callable(what):
            return self._wait_for(what, getattr(what, "__name__", "a condition"), timeout_s)
        if what not in STATES:
            raise ConfigError(f"cannot wait until {what!r}", hint=f"{', '.join(STATES)}, or a callable")
        limit = self.limits.ready_s if what == "whole" else self.failover_timeout_s
        old = self._before_fault if what == "failed-over" else None
        if what == "failed-over" and old is None:
            raise ConfigError("no fault has been injected, so nothing can have failed over")

        def reached() -> str:
            view = self.view()
            if what == "whole":
                if not view.ready:
                    raise ClusterError(view.missing)
                return view.primary or what
            if view.primary is None or view.primary == old:
                raise ClusterError(f"{view.primary or 'no node'} accepts writes")
            return view.primary

        return self._wait_for(reached, f"{self.name} to be {what}", timeout_s or limit)

    def _wait_for(self, condition: Callable[[], T], name: str, timeout_s: float | None) -> T:
        limit = timeout_s if timeout_s is not None else self.limits.ready_s
        deadline = deadline_ns(limit)
        while True:
            last = "not yet"
            try:
                if found := condition():
                    return found
            except Exception as error:
                if not _is_of_database(error):
                    raise
                last = " ".join(str(error).split())
            if now_ns() > deadline:
                raise ClusterError(f"waited {limit:g} s for {name}; last seen: {last}")
            time.sleep(POLL_S)

    # what it holds

    def assert_no_lost_writes(
        self,
        acknowledged: Iterable[Any] | None = None,
        *,
        table: str | None = None,
        column: str | None = None,
        query: str | None = None,
        exactly_once: bool = False,
    ) -> None:
        """Fail (AssertionError, naming values) unless every acknowledged write is on the surviving primary.

        acknowledged: what the application was told is committed, as values of ``column`` of ``table`` (``schema.table``
        too) or of the rows of ``query``. exactly_once: fail also for a value that is there twice, as a careless retry
        leaves it. Waits for a whole cluster first, so heal before. O(n) in acknowledged and in rows.
        """
        if acknowledged is None:
            raise ConfigError("say which values the application believes are safe")
        wanted = values_query(query, table, column)
        values = list(acknowledged)
        self.wait_until("whole")

        async def held() -> list[Any]:
            async with await self._connect() as connection:
                return await read_values(connection, wanted)

        wrong = describe_missing(values, self._runner.run(held()), exactly_once=exactly_once)
        if wrong:
            raise AssertionError(wrong)

    def lag_s(self) -> float:
        """Return the longest replay lag that the primary reports of a standby, in seconds; 0.0 when none lags."""
        return max((node.replay_lag_s or 0.0 for node in self.nodes), default=0.0)

    def assert_lag(self, limit_s: float | None = None) -> None:
        """Fail (AssertionError) when a standby lags by more than limit_s, by default the limits' lag_s."""
        limit = self.limits.lag_s if limit_s is None else limit_s
        late = {node.name: node.replay_lag_s for node in self.nodes if (node.replay_lag_s or 0.0) > limit}
        if late:
            words = ", ".join(f"{name} by {lag:.3f} s" for name, lag in late.items())
            raise AssertionError(f"lagging by more than {limit:g} s: {words}")


def _is_of_database(error: Exception) -> bool:
    """Whether an error says that a database is not there yet, rather than that a test is wrong.

    By the names that PEP 249 gives such errors, because no driver but ours is imported here.
    """
    if isinstance(error, ConfigError):
        return False
    if isinstance(error, OutlastError | OSError | TimeoutError):
        return True
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"OperationalError", "InterfaceError", "PostgresConnectionError", "PoolTimeout"})
