"""A worker whose ops are transactions of several statements: BEGIN, the steps, COMMIT, one round trip each.

    BEGIN ──▶ step 1 … step n ──▶ COMMIT ──▶ acknowledged
                   │                  └── lost: unknown
                   └── refused or lost: certainly did not happen ──▶ ROLLBACK

The end of the reply to COMMIT is the acknowledgement. Until COMMIT is sent no server can commit, so whatever goes
wrong before is a certain failure; from then on the rules of ``outcome`` hold. Everything about connections, due
times and ops that were not sent is the plain worker's.

A server in hot standby has no serializable transactions (PostgreSQL manual, "Hot Standby: Caveats"), so readers of
any node ask for repeatable read there: each read is a snapshot, which is what a standby can promise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from psycopg import OperationalError, pq

from outlast.history.op import Outcome
from outlast.units import parse_lsn
from outlast.workloads.base import Invocation, Txn, TxnStep
from outlast.workloads.config import WorkerConfig
from outlast.workloads.outcome import error_text, outcome_of_error
from outlast.workloads.sql_client import ClientState, SqlClient
from outlast.workloads.sql_worker import SqlWorker

CONFLICTS: Final = ("40001", "40P01")
"""Serialization failure and deadlock: the database keeping its promise, not trouble, so nobody pauses for it."""

NO_ROW: Final = "a row that it needs is not there"

_BEGIN_AT: Final = -1
_OK: Final = (int(pq.ExecStatus.COMMAND_OK), int(pq.ExecStatus.TUPLES_OK))


class _Open:
    """A transaction under way. place: of the step that was sent last; past the steps it is COMMIT."""

    __slots__ = ("answers", "identity", "lsn", "place", "refusal", "txn")

    def __init__(self, txn: Txn) -> None:
        self.txn = txn
        self.place = _BEGIN_AT
        self.answers: list[bytes | None] = []
        self.identity = b""
        self.lsn = 0
        self.refusal: str | None = None

    @property
    def committing(self) -> bool:
        return self.place >= len(self.txn.steps)

    def take(self, result: pq.abc.PGresult) -> bool:
        """Keep what a step was answered; False when a row that it needed is not there."""
        if result.ntuples == 0:
            self.answers.append(None)
            return not self.txn.steps[self.place].needed
        self.lsn = parse_lsn((result.get_value(0, 0) or b"0/0").decode())
        self.identity = result.get_value(0, 1) or b""
        self.answers.append(result.get_value(0, 2) if result.nfields > 2 else None)
        return True


class TransactionWorker(SqlWorker):
    """Drives the clients of one config through transactions. Raises as Worker does."""

    def __init__(self, config: WorkerConfig) -> None:
        super().__init__(replace(config, prepared=False))
        level = config.level
        if config.reads_only and level == "serializable":
            level = "repeatable-read"
        mode = " READ ONLY" if config.reads_only else ""
        self._begin = TxnStep(f"BEGIN ISOLATION LEVEL {level.replace('-', ' ')}{mode}".encode(), ())
        self._open: dict[int, _Open] = {}

    def _invoke(self, index: int, call: Invocation, at_ns: int) -> None:
        assert call.txn is not None
        f = self._recorder.function(call.txn.f)
        self._recorder.invoke(index, f, call.value, at_ns, call.key)
        if call.txn.payload is not None:
            self._recorder.attach(index, call.txn.payload)

    def _send(self, client: SqlClient, at_ns: int) -> None:
        call = next(client.calls)
        self._invoke(client.index, call, at_ns)
        assert call.txn is not None
        self._open[client.index] = _Open(call.txn)
        client.state = ClientState.BUSY
        client.deadline_ns = at_ns + self._timeout_ns
        self._execute(client, self._begin)

    def _execute(self, client: SqlClient, step: TxnStep) -> None:
        assert client.pgconn is not None
        try:
            client.pgconn.send_query_params(step.sql, list(step.params))
        except OperationalError as error:
            self._lose(client, str(error))

    def _on_answered(self, client: SqlClient, at_ns: int) -> None:
        result, client.rows, client.error = client.error or client.rows, None, None
        one = self._open[client.index]
        if result is None or one.refusal is not None:  # the end of ROLLBACK
            self._end(client, at_ns, Outcome.FAIL, one.refusal or "an empty answer")
        elif result.status not in _OK:
            client.error = result
            self._on_error(client, at_ns)
        elif not one.committing:
            if one.place == _BEGIN_AT or one.take(result):
                one.place += 1
                self._execute(client, _COMMIT if one.committing else one.txn.steps[one.place])
            else:
                self._roll_back(client, NO_ROW)
        elif result.command_status == b"COMMIT":
            self._acknowledge(client, one, at_ns)
        else:
            self._end(client, at_ns, Outcome.FAIL, "COMMIT was answered with ROLLBACK")

    def _acknowledge(self, client: SqlClient, one: _Open, at_ns: int) -> None:
        told = one.txn.told(one.answers)
        if isinstance(told, int):
            self._recorder.answer(client.index, told)
        elif told is not None:
            self._recorder.attach(client.index, told)
        served_by = (client.committed_locally, one.identity)
        tag = self._tags.get(served_by) or self._new_tag(served_by)
        self._recorder.complete(client.index, tag, one.lsn, at_ns)
        client.committed_locally = False
        client.failures = 0
        if self._sending and self._pause_ns:
            self._open.pop(client.index, None)
            client.rest(at_ns + self._pause_ns)
        else:
            self._on_idle(client)

    def _on_error(self, client: SqlClient, at_ns: int) -> None:
        """Take an error of the server: before COMMIT it is a failure, whatever it says."""
        assert client.error is not None
        sqlstate, severity, text = error_text(client.error)
        one = self._open[client.index]
        if severity != "ERROR":
            self._lose(client, text)
        elif one.committing:
            client.error = None
            self._end(client, at_ns, outcome_of_error(sqlstate, severity), text)
        else:
            client.error = None
            self._roll_back(client, text)

    def _roll_back(self, client: SqlClient, refusal: str) -> None:
        self._open[client.index].refusal = refusal
        self._execute(client, _ROLLBACK)

    def _end(self, client: SqlClient, at_ns: int, outcome: Outcome, text: str) -> None:
        """Complete an op that was not acknowledged; the connection is good."""
        self._recorder.complete(client.index, self._recorder.tag(outcome, error=text), 0, at_ns)
        client.committed_locally = False
        if text.startswith("25006") and self._follows:
            client.give_up(at_ns, text)
        elif self._sending and self._config.rate_per_s is None and not text.startswith((*CONFLICTS, NO_ROW)):
            client.pause(at_ns)
        else:
            self._on_idle(client)

    def _outcome_of_loss(self, client: SqlClient) -> Outcome:
        return super()._outcome_of_loss(client) if self._open[client.index].committing else Outcome.FAIL

    def _on_idle(self, client: SqlClient) -> None:
        self._open.pop(client.index, None)
        super()._on_idle(client)


_COMMIT: Final = TxnStep(b"COMMIT", ())
_ROLLBACK: Final = TxnStep(b"ROLLBACK", ())
