"""Datasets: sample rows by the count, made rows the same for the same seed, and refusals that say why."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from outlast.config import load_cluster
from outlast.datasets.base import RowBatch, batch
from outlast.datasets.healthcare_columns import COLUMNS
from outlast.datasets.healthcare_rows import made, row_counts
from outlast.datasets.load import DATASETS, check_dataset
from outlast.errors import ConfigError


def counted(batches: list[RowBatch]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for one in batches:
        assert one.data.count(b"\n") == one.rows
        counts[one.table] += one.rows
    return dict(counts)


def column(batches: list[RowBatch], table: str, name: str) -> list[str]:
    place = COLUMNS[table].index(name)
    lines = b"".join(one.data for one in batches if one.table == table).decode().splitlines()
    return [line.split("\t")[place] for line in lines]


def test_the_clinic_and_the_shop_have_the_sample_rows_that_are_promised() -> None:
    assert list(counted(list(DATASETS["healthcare"].sample())).values()) == [3, 5, 15, 10, 3, 3, 4]
    assert counted(list(DATASETS["shop"].sample())) == {"users": 3, "orders": 3}
    assert counted(list(DATASETS["ha-test"].sample())) == {}


@pytest.mark.parametrize("rows", [30, 1_000, 45_678])
def test_as_many_rows_are_made_as_were_asked_for(rows: int) -> None:
    counts = counted(list(made(rows, 1)))
    assert counts == row_counts(rows)
    assert sum(counts.values()) == rows and set(counts) == set(COLUMNS)


def test_made_rows_repeat_with_the_seed_and_differ_without() -> None:
    one, same, other = (b"".join(one.data for one in made(2_000, seed)) for seed in (1, 1, 2))
    assert one == same != other


def test_made_rows_refer_to_rows_that_are_there_and_no_key_comes_twice() -> None:
    batches = list(made(50_000, 3))
    patients = column(batches, "patients", "patient_id")
    providers = set(column(batches, "healthcare_providers", "provider_id"))
    facilities = set(column(batches, "medical_facilities", "facility_id"))
    assert set(column(batches, "healthcare_providers", "facility_id")) <= facilities
    seen: dict[str, int] = defaultdict(int)
    for table in ("appointments", "medical_records", "prescriptions", "lab_results"):
        assert set(column(batches, table, "patient_id")) <= set(patients)
        assert set(column(batches, table, "provider_id")) <= providers
        seen[table] = len(set(column(batches, table, COLUMNS[table][0])))
    assert dict(seen) == {table: count for table, count in row_counts(50_000).items() if table in seen}
    assert len(set(patients)) == len(patients)
    names = Counter(name[0] for name in column(batches, "patients", "last_name"))
    assert 0.05 < names["S"] / len(patients) < 0.2  # what LIKE 'S%' finds


def test_what_copy_would_take_for_something_else_is_escaped() -> None:
    assert batch("t", ("a", "b"), [("x\ty\\\n", None)]).data == b"x\\ty\\\\\\n\t\\N\n"


@pytest.mark.parametrize(
    ("preset", "settings", "words"),
    [
        ("patroni", ["dataset=shop", "dataset_rows=100"], "no further rows"),
        ("patroni", ["dataset_rows=100"], "not of what"),
        ("patroni", ["dataset=healthcare", "dataset_rows=3"], "30"),
        ("etcd", ["dataset=healthcare"], "no PostgreSQL servers"),
    ],
)
def test_rows_that_cannot_be_made_are_refused(preset: str, settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_dataset(load_cluster(preset, settings))


@pytest.mark.parametrize("text", ["dataset_rows=-1", "dataset_rows=1000000000", "dataset=zoo"])
def test_a_dataset_that_does_not_exist_is_no_spec(text: str) -> None:
    with pytest.raises(ConfigError):
        load_cluster("patroni", [text])
