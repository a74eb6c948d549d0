"""How an op ended, from what the server said.

The rule is one-sided: FAIL only where the op certainly did not happen, INFO wherever that is open. A wrong
INFO costs a checker some power, a wrong FAIL or OK makes it lie.
"""

from __future__ import annotations

from typing import Final

from psycopg import pq

from outlast.history.op import Outcome

READ_ONLY: Final = "25006"
UNIQUE_VIOLATION: Final = "23505"
COMPLETION_UNKNOWN: Final = "40003"
QUERY_CANCELED: Final = "57014"

_ROLLED_BACK: Final = frozenset(
    {
        "0A",  # feature not supported
        "22",  # data exception
        "23",  # integrity constraint violation
        "25",  # invalid transaction state, among them 25006: the node is read-only
        "28",  # authorization
        "3D",  # no such database
        "3F",  # no such schema
        "40",  # serialization failure, deadlock
        "42",  # syntax, access rule, undefined table
        "53",  # out of disk, memory, connections
        "54",  # a limit of the program exceeded
        "55",  # object not in the state for it, lock not available
    }
)

_SYNC_WAIT_FUNCTION: Final = b"SyncRepWaitForLSN"
_SYNC_WAIT_DETAIL: Final = b"already committed locally"


def outcome_of_error(sqlstate: str, severity: str) -> Outcome:
    """Return the outcome of an op that was answered with an error.

    sqlstate: five characters. severity: not localised (``PG_DIAG_SEVERITY_NONLOCALIZED``).

    ERROR means that the transaction was rolled back: once a commit record is written PostgreSQL can only
    succeed or PANIC (xact.c, CommitTransaction; RecordTransactionCommit is a critical section). Still INFO:

    - FATAL and PANIC (57P01 admin_shutdown, 57P02 crash_shutdown …): a backend may end after its commit
      record is written and before it could say so;
    - class 08 and anything not listed: a pooler's or proxy's own error, which knows nothing of the outcome;
    - 23505: the number is the op's own, so a duplicate of it says that something applied it already,
      for example a balancer that sent the statement twice;
    - 40003 says so itself.

    57014, query cancelled, is a failure: a cancel during the wait for a synchronous standby, after the
    commit, is reported as a warning and success instead (see ``is_local_commit``).
    """
    if severity != "ERROR" or sqlstate in (UNIQUE_VIOLATION, COMPLETION_UNKNOWN):
        return Outcome.INFO
    if sqlstate == QUERY_CANCELED or sqlstate[:2] in _ROLLED_BACK:
        return Outcome.FAIL
    return Outcome.INFO


def is_local_commit(notice: pq.abc.PGresult) -> bool:
    """Return whether a notice says that the commit is local only, the wait for its standby being cancelled.

    PostgreSQL warns so in two cases (syncrep.c, SyncRepWaitForLSN): on a cancel (SQLSTATE 01000), after which
    it reports success, and on termination (57P01 as a *warning*), after which the connection ends. The text
    is translated on some servers; the name of the function is not, but a proxy may drop it: either will do.
    """
    field = pq.DiagnosticField
    if notice.error_field(field.SOURCE_FUNCTION) == _SYNC_WAIT_FUNCTION:
        return True
    return _SYNC_WAIT_DETAIL in (notice.error_field(field.MESSAGE_DETAIL) or b"")


def error_text(result: pq.abc.PGresult) -> tuple[str, str, str]:
    """Return (sqlstate, severity, "sqlstate: message") of a server's error."""
    field = pq.DiagnosticField
    sqlstate = (result.error_field(field.SQLSTATE) or b"").decode()
    severity = (result.error_field(field.SEVERITY_NONLOCALIZED) or b"").decode()
    message = (result.error_field(field.MESSAGE_PRIMARY) or result.error_message or b"").decode(
        errors="replace"
    )
    return sqlstate, severity, f"{sqlstate or 'no SQLSTATE'}: {message.strip()}"
