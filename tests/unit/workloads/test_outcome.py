"""FAIL is said only of what certainly did not happen."""

from __future__ import annotations

import pytest
from psycopg import pq

from outlast.history.op import Outcome
from outlast.workloads.outcome import is_local_commit, outcome_of_error


@pytest.mark.parametrize(
    ("sqlstate", "severity", "outcome"),
    [
        ("25006", "ERROR", Outcome.FAIL),  # read-only node
        ("40001", "ERROR", Outcome.FAIL),  # serialization failure
        ("40P01", "ERROR", Outcome.FAIL),  # deadlock
        ("40003", "ERROR", Outcome.INFO),  # statement completion unknown
        ("53100", "ERROR", Outcome.FAIL),  # disk full
        ("53100", "PANIC", Outcome.INFO),  # disk full while writing WAL
        ("42P01", "ERROR", Outcome.FAIL),  # no such table
        ("57014", "ERROR", Outcome.FAIL),  # cancelled before the commit
        ("57P01", "FATAL", Outcome.INFO),  # terminated
        ("57P02", "FATAL", Outcome.INFO),  # another backend crashed
        ("57P03", "FATAL", Outcome.INFO),  # starting up, said by a pooler on an open connection
        ("23505", "ERROR", Outcome.INFO),  # its own number is there already
        ("23502", "ERROR", Outcome.FAIL),  # not null
        ("08006", "ERROR", Outcome.INFO),  # a pooler lost its server
        ("XX000", "ERROR", Outcome.INFO),
        ("", "", Outcome.INFO),
    ],
)
def test_an_error_is_a_failure_only_when_the_transaction_is_certainly_gone(
    sqlstate: str, severity: str, outcome: Outcome
) -> None:
    assert outcome_of_error(sqlstate, severity) == outcome


class Notice:
    """A notice with some fields."""

    def __init__(self, **fields: bytes) -> None:
        self.fields = {pq.DiagnosticField[name]: text for name, text in fields.items()}

    def error_field(self, field: pq.DiagnosticField) -> bytes | None:
        return self.fields.get(field)


def test_a_local_commit_is_known_by_function_or_by_text() -> None:
    translated = Notice(SOURCE_FUNCTION=b"SyncRepWaitForLSN", MESSAGE_DETAIL=b"auf Deutsch")
    proxied = Notice(
        MESSAGE_DETAIL=b"The transaction has already committed locally, but might not have been ..."
    )
    other = Notice(SOURCE_FUNCTION=b"exec_stmt", MESSAGE_PRIMARY=b"hello")
    found = [is_local_commit(notice) for notice in (translated, proxied, other)]  # type: ignore[arg-type]
    assert found == [True, True, False]
