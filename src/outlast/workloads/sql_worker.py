"""Many clients on raw, non-blocking libpq in one epoll loop, without threads or asyncio: the fast path of a load.

What counts as an acknowledgement: the *end* of the reply (ReadyForQuery), not its rows. In the extended
protocol a server outside a transaction block sends the rows and "INSERT 0 1" before it commits; the commit,
and the wait for a synchronous standby, come with Sync. So rows followed by an error did not happen, rows
followed by a lost connection are unknown, and rows followed by a warning from the synchronous wait are
committed locally only.

Open loop: op k is due at start + k / rate, whatever became of earlier ones, and goes to a client that is
free. One that no client could send late_max_s after it was due is recorded as failed, "not sent", at its due
time, so an outage shows in the availability in full and is not followed by a burst. The clock of an op that
is sent starts when it is sent. Closed loop: each client sends its next op when the last one has ended; a
client that cannot connect, or is refused, makes one failed op of each attempt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from psycopg import OperationalError, pq

from outlast.clock import now_ns
from outlast.errors import ConfigError
from outlast.history.op import NEVER, Outcome
from outlast.history.recorder import Recorder
from outlast.units import NS_PER_S
from outlast.workloads import WORKLOADS
from outlast.workloads.base import Invocation, Options, Paced, Workload
from outlast.workloads.config import WorkerConfig
from outlast.workloads.endpoints import endpoints
from outlast.workloads.outcome import READ_ONLY, error_text, outcome_of_error
from outlast.workloads.sql_client import STATEMENT_NAME, ClientState, Sockets, SqlClient

TICK_NS: Final = 10_000_000
"""How often deadlines are looked at: time-outs and pauses are exact to this, and ops pay nothing for them."""

_TIMELINE_DIGITS: Final = 8
_BINARY: Final = 1
_EVENTS_MAX: Final = 64
# Looked up once: finding a member of an enum costs as much as half a system call.
_TUPLES_OK: Final = int(pq.ExecStatus.TUPLES_OK)
_IDLE, _BUSY, _PAUSED, _WAITING = ClientState.IDLE, ClientState.BUSY, ClientState.PAUSED, ClientState.WAITING


class SqlWorker:
    """Drives the clients of one config. Raises ConfigError or HistoryError when it cannot start."""

    def __init__(self, config: WorkerConfig) -> None:
        if config.workload not in WORKLOADS:
            raise ConfigError(f"no such workload: {config.workload}", key="workload")
        targets = endpoints(config)
        workload = WORKLOADS[config.workload]
        self._config = config
        self._follows = targets.follows
        self._statement = workload.statement.encode()
        self._paced = workload if isinstance(workload, Paced) else None
        self._pause_ns = int(config.pause_s * NS_PER_S)
        self._timeout_ns = int(config.query_timeout_s * NS_PER_S)
        self._sockets = Sockets()
        self._recorder = Recorder(
            Path(config.ops_folder) / config.name,
            clients=config.processes,
            first_process=config.first_process,
        )
        self._f = self._recorder.function(workload.name)
        self._tags: dict[tuple[bool, bytes], int] = {}
        *streams, self._unsent = (self._calls(workload, i) for i in range(config.processes))
        self._clients = [
            SqlClient(i, calls, targets, config, self._statement, self._sockets)
            for i, calls in enumerate(streams)
        ]
        self._idle: deque[SqlClient] = deque()
        self._sending = False
        self._stopped = False
        self._due_count = 0

    def _calls(self, workload: Workload, index: int) -> Iterator[Invocation]:
        process = self._config.first_process + index
        config = self._config
        options = Options(
            config.reads_only, config.params, config.epoch_ns, config.first_process, config.clients
        )
        return workload.generator(process, Random(f"{config.seed}/{process}"), options)

    def stop(self) -> None:
        """Send no more ops; ``run`` returns once those open have ended, or drain_s later."""
        self._stopped = True

    def run(self) -> None:
        """Run to the end of the config's time. Whatever was sent is on record whenever this process dies."""
        try:
            self._load()
            self._drain()
        finally:
            self._recorder.close()

    def _load(self) -> None:
        config = self._config
        start_ns = config.start_ns or NEVER
        stop_ns = config.stop_ns or NEVER
        tick_ns = 0
        while not self._stopped and (now := now_ns()) < stop_ns:
            if now >= tick_ns:
                self._check_deadlines(now)
                tick_ns = now + TICK_NS
            wake_ns = min(tick_ns, stop_ns)
            if not self._sending:
                if self._idle and not config.start_ns:
                    start_ns = now
                if now >= start_ns:
                    self._start_sending()
                    continue
                wake_ns = min(wake_ns, start_ns)
            elif config.rate_per_s is not None:
                due_ns = self._send_due(start_ns, now, config.rate_per_s)
                if due_ns > now:
                    wake_ns = min(wake_ns, due_ns)
            self._wait(wake_ns)
        if config.rate_per_s is not None:
            until_ns = min(now_ns(), stop_ns)
            self._send_due(start_ns, until_ns - 1, config.rate_per_s)
            self._record_unsent(start_ns, until_ns, config.rate_per_s)
        self._sending = False

    def _start_sending(self) -> None:
        self._sending = True
        if self._config.rate_per_s is None:
            waiting, self._idle = self._idle, deque()
            for client in waiting:
                self._send(client, now_ns())

    def _drain(self) -> None:
        """Let open ops end, for a bounded time."""
        until_ns = now_ns() + int(self._config.drain_s * NS_PER_S)
        while any(client.state is _BUSY for client in self._clients) and now_ns() < until_ns:
            self._check_deadlines(now_ns())
            self._wait(min(now_ns() + TICK_NS, until_ns))
        for client in self._clients:
            if client.state is _BUSY:
                self._complete_lost(client, "still open when the load had ended")
            client.drop()
        self._sockets.close()

    def _wait(self, wake_ns: int) -> None:
        """Sleep until a socket is ready or wake_ns has come, and serve the sockets."""
        clients = self._sockets.clients
        for fd, _ in self._sockets.poll(max(0, wake_ns - now_ns()) / NS_PER_S, _EVENTS_MAX):
            client = clients.get(fd)
            if client is None:
                continue
            if client.state is _BUSY:
                self._on_reply(client)
            elif client.state in (_IDLE, _PAUSED):
                self._on_unasked(client)
            elif client.on_setup_event(now_ns()):
                self._on_idle(client)

    def _check_deadlines(self, now: int) -> None:
        for client in self._clients:
            if now < client.deadline_ns:
                continue
            if client.state is _WAITING:
                if self._sending and self._config.rate_per_s is None and client.refused:
                    self._record_refused(client, now)
                client.connect(now)
            elif client.state is _PAUSED:
                self._on_idle(client)
            elif client.state is _BUSY:
                self._lose(client, f"no answer within {self._config.query_timeout_s:g} s")
            else:
                client.give_up(now, f"no connection within {self._config.connect_timeout_s:g} s")

    # One op: sent, answered, next. This is the hot path of a closed loop.

    def _send(self, client: SqlClient, at_ns: int) -> None:
        call = next(client.calls)
        self._recorder.invoke(client.index, self._f, call.value, at_ns, call.key)
        client.state = _BUSY
        client.deadline_ns = at_ns + self._timeout_ns
        pgconn, params = client.pgconn, call.params
        assert pgconn is not None
        try:
            # A message or two of a few hundred bytes with nothing else in flight: libpq's own flush sends it
            # whole.
            if self._config.prepared:
                pgconn.send_query_prepared(STATEMENT_NAME, params, [_BINARY] * len(params), _BINARY)
            else:
                pgconn.send_query_params(self._statement, params, None, [_BINARY] * len(params), _BINARY)
        except OperationalError as error:
            self._lose(client, str(error))

    def _on_reply(self, client: SqlClient) -> None:
        pgconn = client.pgconn
        assert pgconn is not None
        try:
            pgconn.consume_input()
        except OperationalError as error:
            self._lose(client, str(error))
            return
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:  # ReadyForQuery: only now is the commit acknowledged
                self._on_answered(client, now_ns())
                return
            if result.status == _TUPLES_OK:
                client.rows = result
            else:
                client.error = result

    def _on_answered(self, client: SqlClient, at_ns: int) -> None:
        rows = client.rows
        if client.error is not None or rows is None:
            self._on_error(client, at_ns)
            return
        served_by = (client.committed_locally, rows.get_value(0, 1) or b"")
        tag = self._tags.get(served_by) or self._new_tag(served_by)
        lsn = int.from_bytes(rows.get_value(0, 0) or b"", "big")
        self._recorder.complete(client.index, tag, lsn, at_ns)
        client.rows = None
        client.committed_locally = False
        client.failures = 0
        if self._sending and self._config.rate_per_s is None and not self._pause_ns:
            self._send(client, at_ns + 1)  # an op of one process never touches the one before
        elif self._sending and self._pause_ns:
            client.rest(at_ns + self._pause_ns)
        else:
            self._on_idle(client)

    def _new_tag(self, served_by: tuple[bool, bytes]) -> int:
        committed_locally, identity = served_by
        self._tags[served_by] = tag = self._recorder.tag(
            Outcome.LOCAL if committed_locally else Outcome.OK,
            identity[_TIMELINE_DIGITS:].decode(errors="replace"),
            int(identity[:_TIMELINE_DIGITS] or b"0", 16),
        )
        return tag

    def _on_idle(self, client: SqlClient) -> None:
        client.state = _IDLE
        client.deadline_ns = NEVER
        if self._sending and self._config.rate_per_s is None:
            self._send(client, now_ns())
        else:
            self._idle.append(client)

    # What goes wrong.

    def _on_error(self, client: SqlClient, at_ns: int) -> None:
        """Complete an op that the server answered with an error; the connection may still be good."""
        if client.error is None:
            self._lose(client, "an answer without rows")
            return
        sqlstate, severity, text = error_text(client.error)
        outcome = outcome_of_error(sqlstate, severity)
        self._recorder.complete(client.index, self._recorder.tag(outcome, error=text), 0, at_ns)
        client.rows = client.error = None
        client.committed_locally = False
        if severity != "ERROR" or (sqlstate == READ_ONLY and self._follows):
            client.give_up(at_ns, text)
        elif self._sending and self._config.rate_per_s is None:
            client.pause(at_ns)
        else:
            self._on_idle(client)

    def _lose(self, client: SqlClient, reason: str) -> None:
        """Complete an op whose connection is lost or given up, and turn to the next host."""
        reason = self._complete_lost(client, reason)
        client.give_up(now_ns(), reason)

    def _complete_lost(self, client: SqlClient, reason: str) -> str:
        reason = error_text(client.error)[2] if client.error is not None else " ".join(reason.split())
        outcome = self._outcome_of_loss(client)
        self._recorder.complete(client.index, self._recorder.tag(outcome, error=reason), 0, now_ns())
        return reason

    def _outcome_of_loss(self, client: SqlClient) -> Outcome:
        """Return how an op ended whose end was never told."""
        return Outcome.LOCAL if client.committed_locally else Outcome.INFO

    def _on_unasked(self, client: SqlClient) -> None:
        """Take what a server says while no op is open; mostly that it is going away."""
        assert client.pgconn is not None
        try:
            client.pgconn.consume_input()
            client.pgconn.is_busy()  # parses it
            if client.pgconn.status == pq.ConnStatus.OK:
                return
            reason = client.pgconn.get_error_message()
        except OperationalError as error:
            reason = str(error)
        if client.state is _IDLE:
            self._idle.remove(client)
        client.give_up(now_ns(), reason)

    # Ops that were not sent.

    def _invoke(self, index: int, call: Invocation, at_ns: int) -> None:
        self._recorder.invoke(index, self._f, call.value, at_ns, call.key)

    def _send_due(self, start_ns: int, now: int, rate_per_s: float) -> int:
        """Send the ops that are due and return when the next one is, ns."""
        late_max_ns = int(self._config.late_max_s * NS_PER_S)
        while (due_ns := start_ns + self._due_ns(rate_per_s)) <= now:
            if self._idle:
                self._send(self._idle.popleft(), now_ns())
            elif now - due_ns > late_max_ns:
                self._record_not_sent(due_ns)
            else:
                break
            self._due_count += 1
        return due_ns

    def _due_ns(self, rate_per_s: float) -> int:
        """Return when the next op is due, ns since the start."""
        if self._paced is None:
            return int(self._due_count * NS_PER_S / rate_per_s)
        stretched = self._paced.rate_per_s / rate_per_s
        return int(self._paced.due_s(self._due_count) * stretched * NS_PER_S)

    def _record_unsent(self, start_ns: int, until_ns: int, rate_per_s: float) -> None:
        """Record what was due before the end and still waited for a free client.

        In a rhythm of bursts the last ones of a burst wait for the first: those are not late yet.
        """
        if self._paced is not None:
            until_ns -= int(self._config.late_max_s * NS_PER_S)
        while (due_ns := start_ns + self._due_ns(rate_per_s)) < until_ns:
            self._record_not_sent(due_ns)
            self._due_count += 1

    def _record_not_sent(self, due_ns: int) -> None:
        busy = any(client.state is _BUSY for client in self._clients)
        reason = "every client is busy" if busy else self._clients[0].last_error or "no client is connected"
        index = self._config.clients
        self._invoke(index, next(self._unsent), due_ns)
        self._recorder.complete(
            index, self._recorder.tag(Outcome.FAIL, error=f"not sent: {reason}"), 0, due_ns + 1
        )

    def _record_refused(self, client: SqlClient, now: int) -> None:
        self._invoke(client.index, next(client.calls), now)
        tag = self._recorder.tag(Outcome.FAIL, error=f"not sent: {client.last_error}")
        self._recorder.complete(client.index, tag, 0, now + 1)
