"""Makes any number of rows of the clinic's tables: plausible, the same for the same seed, 0.3 million a second.

Nothing is remembered from row to row. Each choice is a hash of (seed, purpose, row), so the key of any patient can
be computed where another table refers to it. Hashes are those of splitmix64 (Steele, Lea, Flood, 2014), on whole
columns at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from outlast.datasets.base import RowBatch
from outlast.datasets.healthcare_columns import COLUMNS

U64 = npt.NDArray[np.uint64]
BATCH_ROWS: Final = 20_000

_SHARES: Final = {
    "medical_facilities": 0.0001,
    "healthcare_providers": 0.002,
    "patients": 0.25,
    "appointments": 0.35,
    "medical_records": 0.12,
    "prescriptions": 0.12,
    "lab_results": 0.1,
}
"""Of all rows; what is left is audit_log's. What other tables refer to has one row at least."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST = _words(
    """Aaliyah Aaron Abigail Adam Ahmed Aiko Alan Alice Amara Amit Ana Andre Anna Anton Aria Arthur Asha Astrid Ayo
Beatriz Ben Bianca Boris Carla Carlos Cecilia Chen Chloe Claire Colin Dana Daniel David Diego Dina Ebba
Edith Elena Eli Elif Emil Emma Erik Esther Eva Farid Felix Fiona Frank Freya Gabriel Gina Goran Grace Hana
Hanna Hassan Helen Henry Hugo Ida Igor Ines Ingrid Isaac Ivan Jack Jamal James Jana Jasmin Joan Joel Jonas
Jorge Josef Julia Kai Karen Karim Kofi Lara Leila Leo Lena Liam Lina Liu Lucas Lucia Luis Maja Marco Maria
Mark Marta Mateo Maya Mei Mia Milan Mina Mohamed Mona Nadia Naomi Nils Nina Noah Nora Olga Oliver Omar Oscar
Paul Pavel Petra Priya Quinn Rafael Rania Rosa Ruth Sadia Sam Sara Selma Simon Sofia Stefan Sven Tara Tariq
Teresa Theo Tim Tom Uma Vera Victor Wei William Yara Yusuf Zoe"""
)
_LAST = _words(
    """Abbott Adams Ahmed Ali Allen Andersson Baker Banerjee Becker Bell Berg Bianchi Brown Bruno Campbell Carter
Castro Chen Clark Cohen Cook Costa Cruz Dahl Davies Diaz Dixon Dubois Edwards Eriksen Evans Fernandez
Fischer Foster Fox Garcia Gomez Gray Green Gupta Haddad Hall Hansen Harris Hassan Hill Hoffmann Hughes
Ibrahim Ito Ivanov Jackson Jensen Johnson Jones Kaya Keller Kelly Khan Kim King Klein Kovac Kumar Larsen Lee
Lewis Lopez Lund Martin Mensah Meyer Mitchell Moore Morgan Moreau Mueller Murphy Nakamura Nelson Nguyen
Novak Okafor Olsen Ortiz Osei Park Parker Patel Perez Petrov Phillips Pinto Popov Price Quinn Ramos Reed
Rivera Roberts Rossi Russo Ryan Sanchez Santos Sato Schmidt Schneider Scott Sharma Silva Singh Smith Sousa
Stewart Stone Suzuki Svensson Tanaka Taylor Thomas Torres Turner Vargas Virtanen Wagner Walker Wang Ward
Watson Weber White Williams Wilson Wood Wright Yamamoto Yilmaz Young Zhang Zhou"""
)
_CITIES = (("Springfield", "IL", "627"), ("Decatur", "IL", "625"), ("Madison", "WI", "537"), ("Dayton", "OH", "454"),
           ("Portland", "ME", "041"), ("Salem", "OR", "973"), ("Boise", "ID", "837"), ("Macon", "GA", "312"),
           ("Tulsa", "OK", "741"), ("Fresno", "CA", "937"), ("Toledo", "OH", "436"), ("Reno", "NV", "895"))  # fmt: skip
_STREETS = _words(
    """Oak Maple Cedar Elm Mill Church Park River Lake Hill Station Orchard Garden Bridge School Market"""
)
_INSURERS = ("Prairie Mutual", "Northern Health", "Civic Care", "Harbour Insurance", "Union Medical")
_SPECIALTIES = ("cardiology", "surgery", "family medicine", "paediatrics", "pathology", "neurology", "oncology",
                "radiology", "dermatology", "psychiatry", "orthopaedics", "anaesthesia")  # fmt: skip
_KINDS = ("consultation", "check-up", "follow-up", "procedure", "vaccination", "laboratory")
_COMPLAINTS = ("cough", "headache", "back pain", "fever", "fatigue", "blood pressure", "rash", "knee pain", "dizziness",
               "yearly check-up", "stomach ache", "shortness of breath")  # fmt: skip
_STATUSES = ("completed", "completed", "completed", "scheduled", "cancelled", "no-show")
_DIAGNOSES = (("hypertension", "I10", "99213"), ("type 2 diabetes", "E11.9", "83036"), ("asthma", "J45.909", "94010"),
              ("migraine", "G43.909", "99214"), ("low back pain", "M54.50", "97110"), ("influenza", "J11.1", "87804"),
              ("anaemia", "D64.9", "85025"), ("eczema", "L30.9", "99212"))  # fmt: skip
_TREATMENTS = (
    "rest and fluids",
    "medication started",
    "medication continued",
    "physiotherapy",
    "referred",
    "observed",
)
_MEDICATIONS = (("lisinopril", "10 mg"), ("metformin", "500 mg"), ("salbutamol", "100 ug"), ("ibuprofen", "400 mg"),
                ("amoxicillin", "250 mg"), ("sertraline", "50 mg"), ("omeprazole", "20 mg"))  # fmt: skip
_FREQUENCIES = ("once a day", "twice a day", "three times a day", "as needed", "at night")
_TESTS = (("haemoglobin", "718-7", "g/dL", "12.0-16.0", 90, 180), ("glucose", "2345-7", "mg/dL", "70-99", 600, 1800),
          ("creatinine", "2160-0", "mg/dL", "0.6-1.3", 4, 22), ("potassium", "2823-3", "mmol/L", "3.5-5.1", 30, 60),
          ("LDL cholesterol", "13457-7", "mg/dL", "<130", 600, 2100))  # fmt: skip
_ACTIONS = (
    "login",
    "record_viewed",
    "record_updated",
    "appointment_booked",
    "prescription_printed",
    "logout",
)
_BLOOD = ("O+", "O+", "O+", "A+", "A+", "A+", "B+", "B+", "AB+", "O-", "A-", "B-", "AB-")
_GENDERS = ("female", "male", "female", "male", "female", "male", "other")

_EPOCH: Final = date(2026, 1, 1)
_BIRTH_DAYS: Final = 365 * 95


def row_counts(rows: int) -> dict[str, int]:
    """Return how many of a number of made rows go to each table; they add up. They want at least 30."""
    counts = {table: max(1, int(rows * share)) for table, share in _SHARES.items()}
    return {**counts, "audit_log": rows - sum(counts.values())}


def made(rows: int, seed: int) -> Iterator[RowBatch]:
    """Yield rows in all, tables in the order of their references. O(rows) time, O(BATCH_ROWS) memory."""
    counts = row_counts(rows)
    for table, count in counts.items():
        for start in range(0, count, BATCH_ROWS):
            length = min(BATCH_ROWS, count - start)
            columns = _MAKERS[table](_Rows(seed, table, start, length, counts))
            data = "".join(f"{line}\n" for line in map("\t".join, zip(*columns, strict=True)))
            yield RowBatch(table, COLUMNS[table], data.encode(), length)


def _mixed(words: U64) -> U64:
    """Return splitmix64's output for each word of its state."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


class _Rows:
    """Some consecutive rows of a table, and the choices made for them."""

    def __init__(self, seed: int, table: str, start: int, length: int, counts: dict[str, int]) -> None:
        self.numbers: U64 = np.arange(start, start + length, dtype=np.uint64)
        self.counts = counts
        self._seed = seed
        self._table = table

    def hashed(self, purpose: str, numbers: U64 | None = None) -> U64:
        """Return 64 bits for each row (or each of numbers) that depend on seed, purpose and row alone."""
        state = np.uint64(int.from_bytes(blake2b(f"{self._seed}/{purpose}".encode(), digest_size=8).digest()))
        words = self.numbers if numbers is None else numbers
        return _mixed(_mixed(words + state) + np.uint64(0x9E3779B97F4A7C15))

    def below(self, purpose: str, bound: int) -> U64:
        """Return a number from 0 to bound - 1 for each row."""
        return self.hashed(f"{self._table}/{purpose}") % np.uint64(bound)

    def number(self, purpose: str, bound: int, least: int = 0) -> list[str]:
        """Return such numbers as text, least added to each."""
        return list(map(str, (self.below(purpose, bound) + np.uint64(least)).tolist()))

    def choice(self, purpose: str, of: Sequence[str]) -> list[str]:
        """Return one of a few words for each row."""
        return [of[one] for one in self.below(purpose, len(of)).tolist()]

    def day(self, purpose: str, days: int, first: date) -> list[str]:
        """Return one of so many days from the first on."""
        table = [(first + timedelta(n)).isoformat() for n in range(days)]
        return self.choice(purpose, table)

    def keys(self, kind: str, numbers: U64 | None = None) -> list[str]:
        """Return the UUID (version 4 in form) of each row of a kind."""
        high = self.hashed(f"{kind} high", numbers)
        low = self.hashed(f"{kind} low", numbers)
        high = (high & np.uint64(0xFFFFFFFFFFFF0FFF)) | np.uint64(0x4000)
        low = (low & np.uint64(0x3FFFFFFFFFFFFFFF)) | np.uint64(0x8000000000000000)
        return [f"{a:016x}{b:016x}" for a, b in zip(high.tolist(), low.tolist(), strict=True)]

    def references(self, kind: str, table: str) -> list[str]:
        """Return for each row the key of some row of another table."""
        return self.keys(kind, self.below(f"which {kind}", self.counts[table]))

    def phone(self, purpose: str) -> list[str]:
        """Return telephone numbers of the range that is kept for fiction."""
        return [f"{200 + n // 100 % 700}-555-01{n % 100:02}" for n in self.below(purpose, 70_000).tolist()]

    def place(self) -> tuple[list[str], list[str], list[str], list[str]]:
        """Return street, city, state and zip code."""
        cities = [_CITIES[n] for n in self.below("city", len(_CITIES)).tolist()]
        streets = [
            f"{n // 16 + 1} {_STREETS[n % 16]} Street" for n in self.below("street", 16 * 400).tolist()
        ]
        zips = [f"{city[2]}{n:02}" for city, n in zip(cities, self.below("zip", 100).tolist(), strict=True)]
        return streets, [city[0] for city in cities], [city[1] for city in cities], zips


Columns = tuple[Sequence[str], ...]


def _facilities(rows: _Rows) -> Columns:
    streets, cities, states, zips = rows.place()
    kinds = rows.choice("kind", ("hospital", "clinic", "laboratory"))
    names = [
        f"{city} {kind} {n + 1}" for city, kind, n in zip(cities, kinds, rows.numbers.tolist(), strict=True)
    ]
    return rows.keys("facility"), names, kinds, streets, cities, states, zips, rows.phone("phone")


def _providers(rows: _Rows) -> Columns:
    first, last = rows.choice("first", _FIRST), rows.choice("last", _LAST)
    numbers = rows.numbers.tolist()
    specialties = rows.choice("specialty", _SPECIALTIES)
    return (
        rows.keys("provider"),
        [f"LIC-{n + 1:08}" for n in numbers],
        first,
        last,
        specialties,
        [f"department of {one}" for one in specialties],
        rows.phone("phone"),
        _emails(first, last, numbers, "clinic"),
        [f"room {n}" for n in rows.number("room", 400, 100)],
        rows.references("facility", "medical_facilities"),
    )


def _patients(rows: _Rows) -> Columns:
    first, last = rows.choice("first", _FIRST), rows.choice("last", _LAST)
    numbers = rows.numbers.tolist()
    streets, cities, states, zips = rows.place()
    contacts = [f"{one} {name}" for one, name in zip(rows.choice("contact", _FIRST), last, strict=True)]
    return (
        rows.keys("patient"),
        [f"MRN-{n + 1:09}" for n in numbers],
        first,
        last,
        rows.day("born", _BIRTH_DAYS, _EPOCH - timedelta(_BIRTH_DAYS)),
        rows.choice("gender", _GENDERS),
        rows.choice("blood", _BLOOD),
        rows.phone("phone"),
        _emails(first, last, numbers, "mail"),
        contacts,
        rows.phone("contact phone"),
        streets,
        cities,
        states,
        zips,
        rows.choice("insurer", _INSURERS),
        [f"P-{n}" for n in rows.number("policy", 90_000_000, 10_000_000)],
    )


def _appointments(rows: _Rows) -> Columns:
    times = [f"{8 + n // 4:02}:{n % 4 * 15:02}" for n in range(40)]
    return (
        rows.keys("appointment"),
        rows.references("patient", "patients"),
        rows.references("provider", "healthcare_providers"),
        rows.references("facility", "medical_facilities"),
        rows.day("day", 730, _EPOCH - timedelta(365)),
        rows.choice("time", times),
        rows.choice("minutes", ("15", "20", "30", "45", "60")),
        rows.choice("kind", _KINDS),
        rows.choice("status", _STATUSES),
        rows.choice("complaint", _COMPLAINTS),
    )


def _records(rows: _Rows) -> Columns:
    found = [_DIAGNOSES[n] for n in rows.below("diagnosis", len(_DIAGNOSES)).tolist()]
    vitals = [
        f'{{"pulse": {55 + n % 50}, "systolic": {100 + n // 50 % 60}, "diastolic": {60 + n // 3000 % 40}}}'
        for n in rows.below("vitals", 120_000).tolist()
    ]
    return (
        rows.keys("record"),
        rows.references("patient", "patients"),
        rows.references("provider", "healthcare_providers"),
        rows.day("day", 1825, _EPOCH - timedelta(1825)),
        [one[0] for one in found],
        rows.choice("treatment", _TREATMENTS),
        [f"{{{one[1]}}}" for one in found],
        [f"{{{one[2]}}}" for one in found],
        vitals,
    )


def _prescriptions(rows: _Rows) -> Columns:
    found = [_MEDICATIONS[n] for n in rows.below("medication", len(_MEDICATIONS)).tolist()]
    return (
        rows.keys("prescription"),
        rows.references("patient", "patients"),
        rows.references("provider", "healthcare_providers"),
        [one[0] for one in found],
        [one[1] for one in found],
        rows.choice("frequency", _FREQUENCIES),
        rows.choice("quantity", ("10", "14", "20", "28", "30", "60", "90")),
        rows.number("refills", 5),
        rows.day("day", 1095, _EPOCH - timedelta(1095)),
        rows.choice("status", ("active", "active", "completed", "stopped")),
    )


def _lab_results(rows: _Rows) -> Columns:
    found = [_TESTS[n] for n in rows.below("test", len(_TESTS)).tolist()]
    tenths = [
        low + n % (high - low)
        for (_, _, _, _, low, high), n in zip(found, rows.below("value", 2**32).tolist(), strict=True)
    ]
    abnormal = ["t" if n < 8 else "f" for n in rows.below("abnormal", 40).tolist()]
    return (
        rows.keys("result"),
        rows.references("patient", "patients"),
        rows.references("provider", "healthcare_providers"),
        [one[0] for one in found],
        [one[1] for one in found],
        [f"{n // 10}.{n % 10}" for n in tenths],
        [one[2] for one in found],
        [one[3] for one in found],
        abnormal,
        rows.day("day", 1095, _EPOCH - timedelta(1095)),
    )


def _audit_log(rows: _Rows) -> Columns:
    days = rows.day("day", 365, _EPOCH - timedelta(365))
    seconds = rows.below("second", 86_400).tolist()
    times = [
        f"{day} {n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}+00" for day, n in zip(days, seconds, strict=True)
    ]
    return (
        times,
        [f"user_{n}" for n in rows.number("actor", 500)],
        rows.choice("action", _ACTIONS),
        [f'{{"session": {n}}}' for n in rows.number("session", 10**9)],
    )


def _emails(first: Sequence[str], last: Sequence[str], numbers: Sequence[int], host: str) -> list[str]:
    return [
        f"{one}.{name}{n}@{host}.example".lower() for one, name, n in zip(first, last, numbers, strict=True)
    ]


_MAKERS: Final[dict[str, Callable[[_Rows], Any]]] = {
    "medical_facilities": _facilities,
    "healthcare_providers": _providers,
    "patients": _patients,
    "appointments": _appointments,
    "medical_records": _records,
    "prescriptions": _prescriptions,
    "lab_results": _lab_results,
    "audit_log": _audit_log,
}
