"""A server's log is read where the server writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.systems.postgres.server import LOG, conninfo, log_file


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        (None, LOG),
        ("stderr log/postgresql-Mon.log\n", "data/log/postgresql-Mon.log"),
        ("csvlog log/p.csv\nstderr log/p.log\n", "data/log/p.log"),
        ("jsonlog log/p.json\n", "data/log/p.json"),
        ("stderr /var/log/pg.log\n", "/var/log/pg.log"),
        ("torn\n", LOG),
    ],
)
def test_the_file_is_the_one_that_the_server_names(
    tmp_path: Path, current: str | None, expected: str
) -> None:
    (tmp_path / "data").mkdir()
    if current is not None:
        (tmp_path / "data" / "current_logfiles").write_text(current)
    assert log_file(tmp_path) == tmp_path / expected


def test_values_of_a_connection_string_are_quoted() -> None:
    written = conninfo("10.0.0.1", 5432, "replicator", passfile="/st ate's/pgpass", application_name="pg-1")
    assert "passfile='/st ate\\'s/pgpass'" in written
    assert "application_name=pg-1" in written
