"""The API answers in JSON whatever it is sent, and reaches no file it should not."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings():  # it would rather have a client that is not in every distribution yet
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

from outlast.hosts.state import labs_folder, runs_folder
from outlast.web.app import make_app
from outlast.web.guard import Guard
from outlast.web.server import read_token

TOKEN = "a-token-of-this-test"


@pytest.fixture
def client() -> Iterator[TestClient]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    with TestClient(make_app(Guard(TOKEN, 80)), base_url="http://127.0.0.1:80", headers=headers) as made:
        made.headers["host"] = "127.0.0.1:80"
        yield made


def error_of(answer: Any) -> str:
    assert answer.headers["content-type"] == "application/json"
    return str(answer.json()["error"])


def test_the_token_is_traded_for_a_cookie_that_scripts_cannot_read(client: TestClient) -> None:
    del client.headers["authorization"]
    assert client.get("/api/v1/labs").status_code == 401
    assert client.post("/api/v1/session", json={"token": "wrong"}).status_code == 401
    answer = client.post("/api/v1/session", json={"token": TOKEN})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    assert client.get("/api/v1/labs").status_code == 200


@pytest.mark.parametrize(
    "path", ["/api/v1/labs/none", "/api/v1/labs/none/faults", "/runs/none/report", "/api/v1/jobs/no"]
)
def test_what_there_is_not_is_404_with_a_reason(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "there is no" in error_of(answer)


@pytest.mark.parametrize(
    "path",
    [
        "/runs/..%2f..%2fetc/report",
        "/runs/%2e%2e/report",
        "/static/..%2fapp.py",
        "/static/app.py",
        "/api/v1/labs/-x",
    ],
)
def test_names_lead_nowhere_else(client: TestClient, path: str) -> None:
    assert client.get(path).status_code in (404, 422)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/drills", {}),
        ("/api/v1/drills", {"drill": "--help"}),
        ("/api/v1/drills", {"drill": "nonsense"}),
        ("/api/v1/drills", {"drill": "postgres-kill", "sets": ["--keep=1"]}),
        ("/api/v1/drills", {"drill": "postgres-kill", "sets": ["nonsense=1"]}),
        ("/api/v1/drills", {"drill": "postgres-kill", "system": "oracle"}),
        ("/api/v1/drills", {"drill": "postgres-kill", "seed": -1}),
        ("/api/v1/drills", {"drill": "postgres-kill", "colour": "red"}),
        ("/api/v1/labs/none/inject", {"fault": "net_delay", "on": "--lab"}),
        ("/api/v1/labs/none/switchover", {"target": "a b"}),
        ("/api/v1/session", {"token": ["x"]}),
        ("/api/v1/session", []),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(client: TestClient, path: str, body: object) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code in (404, 422), answer.text
    assert error_of(answer)
    assert client.get("/api/v1/jobs").json() == {"jobs": []}


def test_no_json_at_all_is_refused(client: TestClient) -> None:
    for text in (b"", b"{", b"\xff\xfe", b"[" * 10_000):
        answer = client.post("/api/v1/drills", content=text, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422)
        assert error_of(answer)


def test_a_drill_says_first_what_it_would_do(client: TestClient) -> None:
    asked = {"drill": "postgres-kill", "sets": ["sync=off"], "preview": True}
    said = client.post("/api/v1/drills", json=asked).json()
    assert "a new lab of its own" in " ".join(said["says"])
    assert "process_kill on primary" in " ".join(said["says"])
    assert said["command"] == "outlast drill --set=sync=off -- postgres-kill"
    assert client.get("/api/v1/jobs").json() == {"jobs": []}


def test_its_openapi_document_names_every_way_in(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.")
    assert {"/api/v1/labs/{lab}/switchover", "/api/v1/drills", "/api/v1/stream"} <= set(document["paths"])
    assert all(
        "requestBody" in one["post"] or "stop" in path
        for path, one in document["paths"].items()
        if "post" in one
    )


def test_pages_load_nothing_from_elsewhere_and_stand_in_no_frame(client: TestClient) -> None:
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    assert "http://" not in answer.text.replace("http://www.w3.org", "")
    for name in ("live.js", "topology.js", "panels.js", "controls.js", "live.css"):
        text = client.get(f"/static/{name}").text
        assert "innerHTML" not in text
        assert "https://" not in text


def test_a_run_that_is_still_going_is_no_past_run(client: TestClient) -> None:
    (runs_folder() / "20260101T000000Z-a").mkdir()
    (runs_folder() / "20260101T000000Z-b").mkdir()
    (runs_folder() / "20260101T000000Z-b" / "run.json").write_text(json.dumps({"document": {}}))
    assert client.get("/api/v1/runs").json() == {"runs": []}
    assert labs_folder().is_dir()


def test_a_token_file_is_its_owners_alone(tmp_path: Path) -> None:
    from outlast.errors import ConfigError

    file = tmp_path / "token"
    for text, mode in (
        ("a-token-of-this-test", 0o644),
        ("short", 0o600),
        ("has a blank in it, so", 0o600),
        ("", 0o600),
    ):
        file.write_text(text)
        file.chmod(mode)
        with pytest.raises(ConfigError):
            read_token(file)
    file.write_text("a-token-of-this-test\n")
    file.chmod(0o600)
    assert read_token(file) == "a-token-of-this-test"
    with pytest.raises(ConfigError):
        read_token(tmp_path / "none")
