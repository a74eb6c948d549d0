"""A clinic's data: facilities, providers, patients, what was done for them, and a log of who did what.

The sample rows are a few people to look at; ``dataset_rows`` has any number more made (see healthcare_rows.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final
from uuid import UUID, uuid5

from outlast.datasets.base import RowBatch, batch
from outlast.datasets.healthcare_columns import COLUMNS

_KEY: Final = "uuid PRIMARY KEY DEFAULT gen_random_uuid()"
_NAMESPACE: Final = UUID("6f6c6466-6173-5468-8561-6c7468636172")

_SCHEMA: Final = (
    f"CREATE TABLE medical_facilities (facility_id {_KEY}, facility_name varchar(200) NOT NULL, "
    "facility_type varchar(50) NOT NULL, address_line1 varchar(200), city varchar(100), state varchar(50), "
    "zip_code varchar(20), phone_number varchar(30))",
    f"CREATE TABLE healthcare_providers (provider_id {_KEY}, license_number varchar(50) NOT NULL UNIQUE, "
    "first_name varchar(100) NOT NULL, last_name varchar(100) NOT NULL, specialty varchar(100), "
    "department varchar(100), phone_number varchar(30), email varchar(200), office_location varchar(100), "
    "facility_id uuid)",
    f"CREATE TABLE patients (patient_id {_KEY}, medical_record_number varchar(50) NOT NULL UNIQUE, "
    "first_name varchar(100) NOT NULL, last_name varchar(100) NOT NULL, date_of_birth date, gender varchar(20), "
    "blood_type varchar(5), phone_number varchar(30), email varchar(200), emergency_contact_name varchar(200), "
    "emergency_contact_phone varchar(30), address_line1 varchar(200), city varchar(100), state varchar(50), "
    "zip_code varchar(20), insurance_provider varchar(100), insurance_policy_number varchar(50))",
    f"CREATE TABLE appointments (appointment_id {_KEY}, patient_id uuid NOT NULL, provider_id uuid NOT NULL, "
    "facility_id uuid NOT NULL, appointment_date date NOT NULL, appointment_time time NOT NULL, "
    "duration_minutes integer DEFAULT 30, appointment_type varchar(50), status varchar(20) DEFAULT 'scheduled', "
    "chief_complaint text)",
    f"CREATE TABLE medical_records (record_id {_KEY}, patient_id uuid NOT NULL, provider_id uuid NOT NULL, "
    "visit_date date NOT NULL DEFAULT current_date, diagnosis text, treatment text, diagnosis_codes text[], "
    "procedure_codes text[], vital_signs jsonb)",
    f"CREATE TABLE prescriptions (prescription_id {_KEY}, patient_id uuid NOT NULL, provider_id uuid NOT NULL, "
    "medication_name varchar(200) NOT NULL, dosage varchar(100), frequency varchar(100), quantity integer, "
    "refills integer DEFAULT 0, prescribed_date date NOT NULL DEFAULT current_date, "
    "status varchar(20) DEFAULT 'active')",
    f"CREATE TABLE lab_results (result_id {_KEY}, patient_id uuid NOT NULL, provider_id uuid NOT NULL, "
    "test_name varchar(200) NOT NULL, test_code varchar(20), result_value varchar(50), unit varchar(30), "
    "reference_range varchar(50), abnormal boolean DEFAULT false, test_date date NOT NULL DEFAULT current_date)",
    "CREATE TABLE audit_log (audit_id bigserial PRIMARY KEY, event_time timestamptz NOT NULL DEFAULT now(), "
    "actor varchar(100) NOT NULL, action varchar(200) NOT NULL, context jsonb)",
)


def _references(table: str, *columns: str) -> str:
    targets = {
        "patient_id": "patients",
        "provider_id": "healthcare_providers",
        "facility_id": "medical_facilities",
    }
    keys = ", ".join(
        f"ADD FOREIGN KEY ({column}) REFERENCES {targets[column]} ({column})" for column in columns
    )
    return f"ALTER TABLE {table} {keys}"


_CONSTRAINTS: Final = (
    _references("healthcare_providers", "facility_id"),
    _references("appointments", "patient_id", "provider_id", "facility_id"),
    _references("medical_records", "patient_id", "provider_id"),
    _references("prescriptions", "patient_id", "provider_id"),
    _references("lab_results", "patient_id", "provider_id"),
    # The databases have the C locale, so an ordinary index serves LIKE 'S%'.
    "CREATE INDEX patients_last_name ON patients (last_name)",
    "CREATE INDEX appointments_patient_id ON appointments (patient_id)",
    "CREATE INDEX appointments_provider_id ON appointments (provider_id)",
    "CREATE INDEX medical_records_patient_id ON medical_records (patient_id)",
    "CREATE INDEX prescriptions_patient_id ON prescriptions (patient_id)",
    "CREATE INDEX lab_results_patient_id ON lab_results (patient_id)",
)

_FACILITIES: Final = (
    ("Lakeside General Hospital", "hospital", "1 Harbour Road", "Springfield", "IL", "62701", "217-555-0100"),
    ("Northgate Family Clinic", "clinic", "48 North Street", "Springfield", "IL", "62702", "217-555-0140"),
    ("Prairie Diagnostic Laboratory", "laboratory", "9 Mill Lane", "Decatur", "IL", "62521", "217-555-0180"),
)
_PROVIDERS: Final = (
    ("Helen", "Okafor", "cardiology", "internal medicine", 0),
    ("Martin", "Svensson", "surgery", "surgery", 0),
    ("Priya", "Raman", "family medicine", "general practice", 1),
    ("Luis", "Herrera", "paediatrics", "general practice", 1),
    ("Agnes", "Kowalski", "pathology", "laboratory", 2),
)
_PATIENTS: Final = (
    ("Sarah", "Simmons", "1984-03-12", "female", "A+"), ("Tom", "Baker", "1959-11-02", "male", "O+"),
    ("Ines", "Silva", "1991-07-30", "female", "B+"), ("George", "Adeyemi", "1972-01-19", "male", "O-"),
    ("Mei", "Chen", "2001-05-08", "female", "AB+"), ("Peter", "Novak", "1966-09-23", "male", "A-"),
    ("Laila", "Haddad", "1995-12-14", "female", "O+"), ("Samuel", "Stone", "1948-04-27", "male", "B-"),
    ("Rosa", "Martinez", "1979-08-16", "female", "A+"), ("Erik", "Lund", "2010-02-03", "male", "O+"),
    ("Fatima", "Yusuf", "1988-06-21", "female", "AB-"), ("James", "Walsh", "1953-10-09", "male", "A+"),
    ("Nora", "Schmidt", "2016-03-28", "female", "B+"), ("Viktor", "Petrov", "1969-12-31", "male", "O-"),
    ("Grace", "Mwangi", "1998-09-05", "female", "A-"),
)  # fmt: skip
_APPOINTMENTS: Final = (
    (0, 0, "2026-01-12", "09:00", 30, "consultation", "completed", "chest pain on stairs"),
    (1, 1, "2026-01-12", "10:30", 60, "procedure", "completed", "hernia repair"),
    (2, 2, "2026-01-13", "08:15", 20, "check-up", "completed", "yearly check-up"),
    (3, 0, "2026-01-14", "11:00", 30, "follow-up", "completed", "blood pressure"),
    (9, 3, "2026-01-15", "14:45", 20, "consultation", "completed", "ear ache"),
    (12, 3, "2026-01-16", "15:10", 15, "vaccination", "completed", "vaccination due"),
    (7, 2, "2026-02-02", "09:30", 30, "follow-up", "scheduled", "diabetes review"),
    (4, 2, "2026-02-03", "10:00", 30, "consultation", "scheduled", "headaches"),
    (11, 1, "2026-02-04", "13:00", 45, "consultation", "cancelled", "knee"),
    (14, 4, "2026-02-05", "08:00", 15, "laboratory", "scheduled", "blood sample"),
)
_RECORDS: Final = (
    (0, 0, "2026-01-12", "stable angina", "nitroglycerin as needed", "{I20.8}", "{93000}",
     {"pulse": 88, "systolic": 148, "diastolic": 92, "temperature_c": 36.7}),
    (1, 1, "2026-01-12", "inguinal hernia", "repair without complications", "{K40.90}", "{49505}",
     {"pulse": 72, "systolic": 131, "diastolic": 84, "temperature_c": 36.5}),
    (7, 2, "2026-01-09", "type 2 diabetes", "diet, metformin", "{E11.9,E78.5}", "{83036,80061}",
     {"pulse": 76, "systolic": 139, "diastolic": 81, "temperature_c": 36.6}),
)  # fmt: skip
_PRESCRIPTIONS: Final = (
    (0, 0, "nitroglycerin", "0.4 mg", "as needed", 25, 1, "2026-01-12", "active"),
    (7, 2, "metformin", "500 mg", "twice a day", 60, 3, "2026-01-09", "active"),
    (9, 3, "amoxicillin", "250 mg", "three times a day", 21, 0, "2026-01-15", "completed"),
)
_LAB_RESULTS: Final = (
    (7, 4, "haemoglobin A1c", "4548-4", "7.4", "%", "4.0-5.6", "t", "2026-01-09"),
    (7, 4, "LDL cholesterol", "13457-7", "131", "mg/dL", "<130", "t", "2026-01-09"),
    (0, 4, "troponin I", "10839-9", "0.01", "ng/mL", "<0.04", "f", "2026-01-12"),
    (2, 4, "haemoglobin", "718-7", "13.9", "g/dL", "12.0-16.0", "f", "2026-01-13"),
)


class HealthcareDataset:
    """Eight tables of a clinic; seven have sample rows."""

    name = "healthcare"
    tables: tuple[str, ...] = tuple(COLUMNS)
    schema: tuple[str, ...] = _SCHEMA
    constraints: tuple[str, ...] = _CONSTRAINTS

    def sample(self) -> Iterator[RowBatch]:
        """Yield 3 facilities, 5 providers, 15 patients, 10 appointments, 3 records, 3 prescriptions, 4 results."""
        facility, provider, patient = (_keys(what) for what in ("facility", "provider", "patient"))
        yield _batch("medical_facilities", ((facility(n), *row) for n, row in enumerate(_FACILITIES)))
        yield _batch(
            "healthcare_providers",
            (
                (provider(n), f"IL-{10451 + n}", first, last, specialty, department, f"217-555-02{n:02}",
                 f"{first}.{last}@clinic.example".lower(), f"room {101 + n}", facility(where))
                for n, (first, last, specialty, department, where) in enumerate(_PROVIDERS)
            ),
        )  # fmt: skip
        yield _batch(
            "patients",
            (
                (patient(n), f"MRN{n + 1:06}", first, last, born, gender, blood, f"217-555-03{n:02}",
                 f"{first}.{last}@mail.example".lower(), f"{last} (family)", f"217-555-04{n:02}",
                 f"{n * 7 + 3} Orchard Street", "Springfield", "IL", "62703",
                 "Prairie Mutual" if n % 3 else None, f"PM-{20000 + n}" if n % 3 else None)
                for n, (first, last, born, gender, blood) in enumerate(_PATIENTS)
            ),
        )  # fmt: skip
        rows = ((_keys("appointment")(n), patient(row[0]), provider(row[1]), facility(_PROVIDERS[row[1]][4]), *row[2:])
                for n, row in enumerate(_APPOINTMENTS))  # fmt: skip
        yield _batch("appointments", rows)
        yield _batch(
            "medical_records",
            (
                (_keys("record")(n), patient(row[0]), provider(row[1]), *row[2:7], json.dumps(row[7]))
                for n, row in enumerate(_RECORDS)
            ),
        )
        for table, what, found in (
            ("prescriptions", "prescription", _PRESCRIPTIONS),
            ("lab_results", "result", _LAB_RESULTS),
        ):
            key = _keys(what)
            yield _batch(
                table, ((key(n), patient(row[0]), provider(row[1]), *row[2:]) for n, row in enumerate(found))
            )

    def generated(self, rows: int, seed: int) -> Iterator[RowBatch]:
        """Yield made rows for all eight tables."""
        from outlast.datasets.healthcare_rows import made  # here: it needs numpy, and bring-ups mostly do not

        yield from made(rows, seed)


def _keys(what: str) -> Callable[[int], UUID]:
    return lambda n: uuid5(_NAMESPACE, f"{what}-{n}")


def _batch(table: str, rows: Iterable[Sequence[object]]) -> RowBatch:
    return batch(table, COLUMNS[table], rows)
