"""One client's connection: its state, and everything about it that is not the hot path.

    WAITING ──▶ CONNECTING ──▶ PREPARING ──▶ IDLE ◀──▶ BUSY ──▶ PAUSED (refused) ──▶ IDLE
       ▲            │              │          │         │
       └────────────┴── failed ────┴── lost ──┴─────────┘

A failed or lost connection makes the client try the next host; when all were tried it waits a little first.
A client never blocks: the worker's loop calls it when its socket is ready or its deadline has passed.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from random import Random
from typing import Final

from psycopg import OperationalError, pq

from outlast.history.op import NEVER
from outlast.units import NS_PER_S
from outlast.workloads.base import Invocation
from outlast.workloads.config import WorkerConfig
from outlast.workloads.endpoints import ServerEndpoints
from outlast.workloads.outcome import error_text, is_local_commit

STATEMENT_NAME: Final = b"op"


class ClientState(IntEnum):
    """Where a client is."""

    WAITING = 0
    CONNECTING = 1
    PREPARING = 2
    IDLE = 3
    BUSY = 4
    PAUSED = 5


class Sockets:
    """The sockets that a worker waits for, and whose they are."""

    __slots__ = ("_epoll", "clients", "poll")

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.poll = self._epoll.poll
        self.clients: dict[int, SqlClient] = {}

    def watch(self, fd: int, events: int, client: SqlClient) -> None:
        """Wait for events of fd from now on, in place of any other."""
        try:
            self._epoll.modify(fd, events)
        except FileNotFoundError:  # new, or the kernel dropped it because libpq closed and opened it again
            self._epoll.register(fd, events)
        self.clients[fd] = client

    def unwatch(self, fd: int) -> None:
        """Wait for fd no longer; it may be closed already."""
        self.clients.pop(fd, None)
        with suppress(OSError):
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Free the poller."""
        self._epoll.close()


class SqlClient:
    """One client: at most one connection, at most one op open.

    index: its number in the recorder. deadline_ns: when WAITING or PAUSED ends and CONNECTING, PREPARING and
    BUSY have lasted too long. failures: rounds or ops that failed since the last success. committed_locally,
    rows, error: what the open op was answered with so far. last_error: why it is not connected. refused: all
    hosts were tried in vain and it waits to try again.
    """

    __slots__ = (
        "_config",
        "_endpoints",
        "_fd",
        "_rng",
        "_sockets",
        "_statement",
        "_tried",
        "_turn",
        "calls",
        "committed_locally",
        "deadline_ns",
        "error",
        "failures",
        "index",
        "last_error",
        "pgconn",
        "refused",
        "rows",
        "state",
    )

    def __init__(
        self,
        index: int,
        calls: Iterator[Invocation],
        endpoints: ServerEndpoints,
        config: WorkerConfig,
        statement: bytes,
        sockets: Sockets,
    ) -> None:
        self.index = index
        self.calls = calls
        self.state = ClientState.WAITING
        self.deadline_ns = 0
        self.pgconn: pq.abc.PGconn | None = None
        self._fd = -1
        self.rows: pq.abc.PGresult | None = None
        self.error: pq.abc.PGresult | None = None
        self.committed_locally = False
        self.last_error = ""
        self.refused = False
        self._endpoints = endpoints
        self._config = config
        self._statement = statement
        self._sockets = sockets
        self._rng = Random(f"{config.seed}/{config.first_process + index}")
        self._turn = (
            index  # clients start at different hosts, so that some client tries each of them at any time
        )
        self._tried = 0
        self.failures = 0

    def connect(self, now_ns: int) -> None:
        """Start to connect to the host whose turn it is."""
        endpoint = self._endpoints.hosts[self._turn % len(self._endpoints.hosts)]
        self.state = ClientState.CONNECTING
        self.refused = False
        self.deadline_ns = now_ns + int(self._config.connect_timeout_s * NS_PER_S)
        try:
            self.pgconn = pq.PGconn.connect_start(endpoint.conninfo)
            self._watch(select.EPOLLOUT)
        except (OperationalError, OSError) as error:
            self.give_up(now_ns, str(error))
            return
        if self.pgconn.status == pq.ConnStatus.BAD:
            self.give_up(now_ns, self._message())

    def on_setup_event(self, now_ns: int) -> bool:
        """Go on with connecting or preparing; return True once the client has become idle."""
        if self.state == ClientState.CONNECTING:
            return self._go_on_connecting(now_ns)
        return self._go_on_preparing(now_ns)

    def _go_on_connecting(self, now_ns: int) -> bool:
        assert self.pgconn is not None
        status = self.pgconn.connect_poll()
        if status == pq.PollingStatus.OK:
            self._watch(select.EPOLLIN)
            self.pgconn.nonblocking = 1
            self.pgconn.notice_handler = self._on_notice
            if not self._config.prepared:
                return self._become_idle()
            self.state = ClientState.PREPARING
            self.pgconn.send_prepare(STATEMENT_NAME, self._statement)
            return False
        if status == pq.PollingStatus.FAILED:
            self.give_up(now_ns, self._message())
        else:
            self._watch(select.EPOLLIN if status == pq.PollingStatus.READING else select.EPOLLOUT)
        return False

    def _go_on_preparing(self, now_ns: int) -> bool:
        assert self.pgconn is not None
        try:
            self.pgconn.consume_input()
        except OperationalError as error:
            self.give_up(now_ns, str(error))
            return False
        while not self.pgconn.is_busy():
            result = self.pgconn.get_result()
            if result is None:
                return self._become_idle()
            if result.status != pq.ExecStatus.COMMAND_OK:
                self.give_up(now_ns, error_text(result)[2])
                return False
        return False

    def _become_idle(self) -> bool:
        self.state = ClientState.IDLE
        self.deadline_ns = NEVER
        self._tried = 0
        return True

    def give_up(self, now_ns: int, reason: str) -> None:
        """Drop the connection and turn to the next host, after a pause once all hosts were tried."""
        self.last_error = " ".join(reason.split())
        was_connecting = self.state in (ClientState.CONNECTING, ClientState.PREPARING)
        self.drop()
        self._turn += 1
        self._tried += 1
        self.deadline_ns = now_ns
        if self._tried >= len(self._endpoints.hosts):
            self._tried = 0
            self.refused = was_connecting
            self.deadline_ns += self._pause_ns()

    def pause(self, now_ns: int) -> None:
        """Keep the connection but send nothing for a while: the server refused the op."""
        self.state = ClientState.PAUSED
        self.deadline_ns = now_ns + self._pause_ns()

    def rest(self, until_ns: int) -> None:
        """Keep the connection and send nothing until then: the workload's own pause between ops."""
        self.state = ClientState.PAUSED
        self.deadline_ns = until_ns

    def _pause_ns(self) -> int:
        """Return half to one and a half of a length that doubles from failure to failure, bounded."""
        length_s = min(self._config.retry_min_s * 2 ** min(self.failures, 30), self._config.retry_max_s)
        self.failures += 1
        return int(length_s * (0.5 + self._rng.random()) * NS_PER_S)

    def drop(self) -> None:
        """Close the connection, if there is one, and wait."""
        self._unwatch()
        if self.pgconn is not None:
            self.pgconn.notice_handler = None
            self.pgconn.finish()
            self.pgconn = None
        self.rows = self.error = None
        self.committed_locally = False
        self.state = ClientState.WAITING
        self.deadline_ns = 0

    def _on_notice(self, notice: pq.abc.PGresult) -> None:
        if self.state == ClientState.BUSY and is_local_commit(notice):
            self.committed_locally = True

    def _message(self) -> str:
        assert self.pgconn is not None
        return self.pgconn.get_error_message() or "cannot connect"

    def _watch(self, events: int) -> None:
        """Wait for events of the connection's socket, which libpq may change while it connects."""
        assert self.pgconn is not None
        if self.pgconn.socket != self._fd:
            self._unwatch()
            self._fd = self.pgconn.socket
        self._sockets.watch(self._fd, events, self)

    def _unwatch(self) -> None:
        if self._fd >= 0:
            self._sockets.unwatch(self._fd)
            self._fd = -1
