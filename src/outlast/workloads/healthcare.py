"""Workload ``healthcare``: appointments are made, each with its line in the audit log, and patients are looked up.

A write is one transaction of two rows that belong together: the appointment of some patient with some provider, and
the log's line about it, which carries the op's number. A read looks for patients whose names begin with S. The lab
needs the dataset: ``--set dataset=healthcare``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.history.op import NONE
from outlast.workloads.base import READ_BY, SERVED_BY, Invocation, Options, Txn, TxnStep, unique_number

READ: Final = "healthcare-read"
ACTION: Final = "outlast_appointment"
TYPE: Final = "outlast"

_APPOINT: Final = TxnStep(
    (
        "INSERT INTO appointments (patient_id, provider_id, facility_id, appointment_date, appointment_time, "
        f"appointment_type, chief_complaint) SELECT p.patient_id, v.provider_id, v.facility_id, current_date, "
        f"'09:00', '{TYPE}', $1 FROM (SELECT patient_id FROM patients LIMIT 1) AS p, "
        "(SELECT provider_id, facility_id FROM healthcare_providers WHERE facility_id IS NOT NULL LIMIT 1) AS v "
        f"RETURNING {SERVED_BY}"
    ).encode(),
    (),
    needed=True,
)
_LOG: Final = (
    "INSERT INTO audit_log (actor, action, context) "
    f"VALUES ('outlast', '{ACTION}', jsonb_build_object('number', $1::bigint)) RETURNING {SERVED_BY}"
).encode()
_READ: Final = TxnStep(
    f"SELECT {READ_BY}, (SELECT count(*) FROM patients WHERE last_name LIKE 'S%')::text".encode(), ()
)


@dataclass(frozen=True, slots=True)
class HealthcareWorkload:
    """Writes ``appointments`` and ``audit_log`` together and reads ``patients``."""

    name: ClassVar[str] = "healthcare"
    tables: ClassVar[tuple[str, ...]] = ("audit_log", "appointments")
    setup: ClassVar[tuple[str, ...]] = (
        f"DELETE FROM audit_log WHERE action = '{ACTION}'",
        f"DELETE FROM appointments WHERE appointment_type = '{TYPE}'",
    )
    statement: ClassVar[str] = ""
    values_sql: ClassVar[str] = (
        "SELECT (l.context->>'number')::bigint AS number FROM audit_log AS l "
        "JOIN appointments AS a ON a.chief_complaint = l.context->>'number' "
        f"WHERE l.action = '{ACTION}' AND a.appointment_type = '{TYPE}' ORDER BY 1"
    )
    """A number counts only when both rows are there: half a transaction is a lost one."""

    params: ClassVar[Mapping[str, int]] = {"reads_percent": 50}
    checkers: ClassVar[tuple[str, ...]] = ("lost_writes", "outage", "split_brain")

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield appointments and reads as the dice fall."""
        n = 0
        while True:
            if rng.random() * 100 < options.params.get("reads_percent", 50):
                yield Invocation(NONE, [], None, Txn(READ, (_READ,)))
                continue
            number = unique_number(process, n)
            text = str(number).encode()
            steps = (_APPOINT._replace(params=(text,)), TxnStep(_LOG, (text,), needed=True))
            yield Invocation(number, [], None, Txn(self.name, steps))
            n += 1
