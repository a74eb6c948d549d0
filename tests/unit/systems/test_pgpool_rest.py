"""The balancer's REST API over a pretended Pgpool-II: tokens, errors, and acts looked at before they are done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jwt
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import settings
from pool import FakePool
from schemathesis import checks

from outlast.systems.pgpool.pcp import setting_values
from outlast.systems.pgpool.rest import balancer as acts
from outlast.systems.pgpool.rest.app import ALGORITHM, PREFIX, Login, make_app
from outlast.systems.pgpool.rest.balancer import Balancer

LOGIN = Login("admin", "open sesame", "s" * 48)


class Api:
    """A client of the API that is signed in, and the pool behind it."""

    def __init__(self, pool: FakePool) -> None:
        self.pool = pool
        self.http = TestClient(make_app(Balancer("lb", pool, pool), LOGIN), raise_server_exceptions=False)
        given = {"username": LOGIN.user, "password": LOGIN.password}
        answer = self.http.post(f"{PREFIX}/auth/login", json=given)
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["access_token"]

    def ask(self, method: str, path: str, **options: object) -> tuple[int, dict[str, object]]:
        given = options.pop("headers", {"Authorization": f"Bearer {self.token}"})
        headers = {"Content-Type": "application/json", **given}  # type: ignore[dict-item]
        answer = self.http.request(method, PREFIX + path, headers=headers, **options)
        assert answer.headers["content-type"].startswith("application/json")
        return answer.status_code, answer.json()


@pytest.fixture
def api() -> Iterator[Api]:
    yield Api(FakePool())


def test_an_empty_setting_is_empty_and_not_the_next_line() -> None:
    text = "name : a\nvalue: \ndesc : what a is\n\nname : b\nvalue: on\ndesc : what b is\n"
    assert setting_values(text) == {"a": "", "b": "on"}


def acted(pool: FakePool) -> list[str]:
    """Return what was asked of it beyond looking."""
    looks = ("nodes", "settings", "processes", "stats", "watchdog")
    return [words for words in pool.asked if not words.startswith(looks)]


def test_status_and_nodes_show_the_pools_word_beside_the_servers(api: Api) -> None:
    code, shown = api.ask("GET", "/status")
    assert (code, shown["running"], shown["primary"], shown["processes"]) == (200, True, 0, 1)
    code, one = api.ask("GET", "/nodes/1")
    assert (code, one["name"], one["status"], one["writable"]) == (200, "pg-node-2", "up", False)
    assert len(api.ask("GET", "/nodes")[1]["nodes"]) == 3
    assert api.ask("GET", "/health/stats")[1]["nodes"]["0"] == {"Total Count": "3"}


def test_a_promotion_returns_when_one_server_alone_takes_writes(api: Api) -> None:
    code, done = api.ask("POST", "/nodes/2/promote")
    assert (code, done["primary"]) == (200, 2)
    assert acted(api.pool) == ["promote 2 True"]
    assert api.ask("POST", "/nodes/2/promote")[0] == 409


def test_a_promotion_that_leaves_two_primaries_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "MOVE_TIMEOUT_S", 0.3)
    api = Api(FakePool(fences=False))
    code, error = api.ask("POST", "/nodes/1/promote")
    assert code == 504
    assert "nodes [0, 1] take writes" in str(error["error"])
    assert api.ask("GET", "/status")[1]["primary"] is None


def test_attach_and_detach_act_once_and_refuse_what_would_harm(api: Api) -> None:
    assert api.ask("POST", "/nodes/1/detach")[1]["changed"] is True
    assert api.ask("POST", "/nodes/1/detach")[1]["changed"] is False
    assert api.ask("POST", "/nodes/1/promote")[0] == 409
    assert api.ask("POST", "/nodes/1/attach")[1]["changed"] is True
    assert api.ask("POST", "/nodes/0/detach")[1]["primary"] == 1
    api.pool.down = {0}
    assert api.ask("POST", "/nodes/0/attach")[0] == 409
    api.pool.down, api.pool.writable = set(), {0, 1}
    code, error = api.ask("POST", "/nodes/0/attach")
    assert code == 409
    assert "beside another node" in str(error["error"])


def test_the_last_node_is_not_detached(api: Api) -> None:
    for number in (1, 2):
        assert api.ask("POST", f"/nodes/{number}/detach")[0] == 200
    before = acted(api.pool)
    assert api.ask("POST", "/nodes/0/detach")[0] == 409
    assert acted(api.pool) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/nodes/1/recovery"),
        ("POST", "/control/logrotate"),
        ("POST", "/cache/invalidate"),
        ("GET", "/watchdog/info"),
        ("POST", "/watchdog/start"),
        ("POST", "/watchdog/stop"),
    ],
)
def test_what_pgpool_cannot_do_is_501_with_the_reason(api: Api, method: str, path: str) -> None:
    code, error = api.ask(method, path)
    assert code == 501
    assert error["error"]
    assert acted(api.pool) == []


def test_a_refusal_by_pgpool_is_told_in_its_words(api: Api) -> None:
    api.pool.settings["recovery_1st_stage_command"] = "script"
    code, error = api.ask("POST", "/nodes/1/recovery")
    assert code == 502
    assert "recovery refused" in str(error["error"])


def test_stop_ends_it_and_everything_after_says_so(api: Api) -> None:
    assert api.ask("POST", "/control/stop", json={"mode": "immediate"})[0] == 200
    assert acted(api.pool) == ["stop immediate"]
    for method, path in (
        ("GET", "/nodes"), ("GET", "/processes"), ("POST", "/nodes/1/promote"), ("POST", "/control/stop"),
        ("POST", "/control/reload"), ("POST", "/watchdog/start"), ("POST", "/cache/invalidate"),
    ):  # fmt: skip
        code, error = api.ask(method, path)
        assert code == 503, path
        assert "does not answer" in str(error["error"])
    assert api.ask("GET", "/status")[1]["running"] is False


@pytest.mark.parametrize(
    ("method", "path", "options", "code"),
    [
        ("GET", "/nodes/77", {}, 404),
        ("POST", "/nodes/77/promote", {}, 404),
        ("GET", "/nodes/x", {}, 422),
        ("GET", "/nodes/-1", {}, 422),
        ("GET", "/nothing", {}, 404),
        ("DELETE", "/nodes", {}, 405),
        ("POST", "/control/stop", {"content": b"{"}, 400),
        ("POST", "/control/stop", {"json": {"mode": "gently"}}, 422),
        ("POST", "/control/stop", {"json": {"mode": "fast", "more": 1}}, 422),
        ("POST", "/control/stop", {"content": b"x" * 70000}, 413),
        ("POST", "/nodes/1/promote", {"headers": {}}, 401),
        ("POST", "/nodes/1/promote", {"headers": {"Authorization": "Bearer x.y.z"}}, 401),
        ("POST", "/nodes/1/promote", {"headers": {"Authorization": "Basic eDp5"}}, 401),
        ("POST", "/auth/login", {"json": {"username": "admin", "password": "guess"}}, 401),
        ("POST", "/auth/login", {"json": {"username": "admin"}}, 422),
        ("POST", "/auth/login", {"content": b"password=open+sesame"}, 400),
    ],
)
def test_a_bad_request_is_an_error_in_json_and_changes_nothing(
    api: Api, method: str, path: str, options: dict[str, object], code: int
) -> None:
    given, error = api.ask(method, path, **options)
    assert given == code, error
    assert error["error"]
    assert acted(api.pool) == []
    assert "sesame" not in str(error)


def test_a_token_of_another_secret_or_of_yesterday_is_none(api: Api) -> None:
    for claims, secret in (
        ({"sub": "admin", "exp": 2**31}, "t" * 48),
        ({"sub": "admin", "exp": 1}, LOGIN.secret),
        ({"sub": "admin"}, LOGIN.secret),
    ):
        token = jwt.encode(claims, secret, algorithm=ALGORITHM)
        assert api.ask("GET", "/nodes", headers={"Authorization": f"Bearer {token}"})[0] == 401
    unsigned = jwt.encode({"sub": "admin", "exp": 2**31}, "", algorithm="none")
    assert api.ask("GET", "/nodes", headers={"Authorization": f"Bearer {unsigned}"})[0] == 401


POOL = FakePool()
HERE = make_app(Balancer("lb", POOL, POOL), LOGIN)
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", HERE).exclude(path=f"{PREFIX}/control/stop")
TOKEN = jwt.encode({"sub": LOGIN.user, "exp": 2**31}, LOGIN.secret, algorithm=ALGORITHM)


@SCHEMA.parametrize()
@settings(max_examples=6, deadline=None, derandomize=True, database=None)
def test_it_keeps_to_its_own_description_whatever_is_asked(case: schemathesis.Case[Any]) -> None:
    # 501 and the like are answers here, and a node that is there may not be fit to be promoted.
    case.call_and_validate(
        headers={"Authorization": f"Bearer {TOKEN}"},
        excluded_checks=[checks.not_a_server_error, checks.positive_data_acceptance],
    )
