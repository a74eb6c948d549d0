"""A PostgreSQL says itself which parameters it refuses, before there is a lab."""

from __future__ import annotations

import pytest

from outlast.clusters.system_registry import system
from outlast.config import ClusterSpec, load_cluster
from outlast.systems.postgres.parameter_check import refused_parameters
from outlast.systems.postgres.settings import server_parameters


def spec_with(preset: str = "streaming", **parameters: str | int) -> ClusterSpec:
    return load_cluster(
        preset, [f"postgresql.parameters.{name}={value}" for name, value in parameters.items()]
    )


def test_sound_parameters_are_taken() -> None:
    assert refused_parameters(spec_with(work_mem="8MB", jit="off", checkpoint_timeout=30)) is None


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("no_such_parameter", "1", 'unrecognized configuration parameter "no_such_parameter"'),
        ("max_connections", "many", 'invalid value for parameter "max_connections"'),
        ("work_mem", "4 zB", "Valid units for this parameter"),
        ("wal_keep_segments", "8", 'unrecognized configuration parameter "wal_keep_segments"'),
    ],
)
def test_what_the_program_refuses_is_refused_in_its_words(name: str, value: str, reason: str) -> None:
    refusal = system("streaming").illegal(spec_with(**{name: value}))
    assert refusal is not None
    assert reason in refusal
    assert "/" not in refusal.replace("postgresql/", "")  # no path of a file that is gone


def test_a_library_that_is_not_there_is_named() -> None:
    refusal = refused_parameters(spec_with(shared_preload_libraries="no_such_library"))
    assert refusal is not None
    assert "has no library no_such_library" in refusal


def test_patroni_converts_the_segments_that_postgresql_13_lost() -> None:
    spec = spec_with("patroni", wal_keep_segments=8)
    assert system("patroni").illegal(spec) is None
    assert "wal_keep_segments" not in server_parameters(spec)
    assert server_parameters(spec)["wal_keep_size"] == "128MB"
    assert server_parameters(spec_with("patroni", wal_keep_segments=4))["wal_keep_size"] == "64MB"
    both = spec_with("patroni", wal_keep_segments=4, wal_keep_size="1GB")
    assert server_parameters(both)["wal_keep_size"] == "1GB"


def test_a_lab_has_one_pgpool_and_no_watchdog_among_several() -> None:
    refusal = system("pgpool").illegal(load_cluster("pgpool", ["pgpool.use_watchdog=on"]))
    assert refusal is not None
    assert "use_watchdog" in refusal
