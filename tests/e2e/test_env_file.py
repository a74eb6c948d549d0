"""``up --env-file``: a person's own passwords work, and are nowhere but where passwords belong."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from program import outlast

from outlast.hosts.state import state_folder

pytestmark = pytest.mark.lab

APP, SUPER = "app:s3cret\\word-1f7", "root's-$3cret-9c2"
MAY_HOLD = {"credentials.json", "pgpass", "patroni.pgpass", "patroni.yml"}
"""Patroni reads the superuser's password from its own configuration."""


def test_passwords_of_an_env_file_are_used_and_kept_only_where_passwords_belong(tmp_path: Path) -> None:
    env = tmp_path / "env.test"
    env.write_text(
        f"APP_USER=clinic\nAPP_PASSWORD='{APP}'\nPOSTGRES_PASSWORD=\"{SUPER}\"\n"
        "LOAD_SCHEMA=true\nLOAD_TEST_DATA=false\n"
    )
    up = outlast("up", "patroni", "--profile", "fast", "--env-file", str(env), "--json")
    assert up.code == 0, up.err
    try:
        shown = outlast("credentials", "--json").json["users"]
        assert (shown["clinic"], shown["postgres"]) == (APP, SUPER)
        assert len(shown["replicator"]) > 20  # generated
        assert outlast("psql", "-Atc", "select current_user").out == "clinic\n"
        assert outlast("psql", "-Atc", "select count(*) from patients").out == "0\n"
        assert outlast("psql", "--superuser", "-Atc", "select current_user").out == "postgres\n"
        others = [outlast(*words) for words in (("status",), ("status", "--json"), ("logs", "-n", "1000"))]
        for done in (up, *others):
            assert all(word not in done.out + done.err for word in (APP, SUPER))
        holders = [
            file
            for file in state_folder().rglob("*")
            if file.is_file() and any(word.encode() in file.read_bytes() for word in (APP, SUPER))
        ]
        assert {file.name for file in holders} <= MAY_HOLD
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in holders)
        escaped = APP.replace("\\", "\\\\").replace(":", "\\:")
        assert f":clinic:{escaped}\n" in (state_folder() / "labs/patroni/pgpass").read_text()
    finally:
        assert outlast("down", "--json").json["residue"] == []


def test_a_bad_env_file_is_refused_without_its_values(tmp_path: Path) -> None:
    env = tmp_path / "env.test"
    env.write_text("APP_PASSWROD=hunter2\n")
    done = outlast("up", "patroni", "--env-file", str(env))
    assert done.code == 64
    assert "APP_PASSWROD" in done.err and "hunter2" not in done.err
    assert outlast("ls", "labs", "--json").json == {"labs": []}
