"""Nobody gets in without the token, from another site, or by another name."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from outlast.web.guard import SESSIONS_MAX, Guard

TOKEN = "a-token-of-this-test"
JSON = {"content-type": "application/json"}


def asked(guard: Guard, method: str = "GET", path: str = "/api/v1/labs", **headers: str) -> int:
    """Return the status with which a request is refused, 200 when it is not."""
    sent = {
        "host": f"127.0.0.1:{guard.port}",
        **{name.replace("_", "-"): one for name, one in headers.items()},
    }
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    refused = guard.refusal(Request(scope))
    return 200 if refused is None else refused[0]


@pytest.fixture
def guard() -> Guard:
    return Guard(TOKEN, 8432)


@pytest.mark.parametrize("path", ["/api/v1/labs", "/api/v1/stream", "/runs/x/report", "/api/v1/jobs"])
def test_without_the_token_nothing_is_told(guard: Guard, path: str) -> None:
    assert asked(guard, path=path) == 401
    assert asked(guard, path=path, authorization="Bearer wrong") == 401
    assert asked(guard, path=path, authorization=f"Basic {TOKEN}") == 401
    assert asked(guard, path=path, authorization=f"Bearer {TOKEN}") == 200


def test_the_page_itself_holds_nothing_and_is_open(guard: Guard) -> None:
    assert asked(guard, path="/") == 200
    assert asked(guard, path="/static/live.js") == 200


@pytest.mark.parametrize("host", ["evil.example:8432", "127.0.0.1:1", "evil.example", ""])
def test_a_name_that_leads_here_is_not_ours(guard: Guard, host: str) -> None:
    assert asked(guard, path="/", host=host) == 403
    assert asked(guard, host=host, authorization=f"Bearer {TOKEN}") == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:8432", "http://127.0.0.1:9999"]
)
def test_another_sites_requests_are_refused_even_with_the_cookie(guard: Guard, origin: str) -> None:
    cookie = f"{guard.cookie}={guard.open_session()}"
    assert asked(guard, "POST", "/api/v1/labs/x/heal", cookie=cookie, origin=origin, **JSON) == 403
    assert asked(guard, cookie=cookie, origin=origin) == 403


def test_a_form_of_another_site_cannot_send_json(guard: Guard) -> None:
    cookie = f"{guard.cookie}={guard.open_session()}"
    own = "http://127.0.0.1:8432"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        headers = {"content-type": kind}
        assert asked(guard, "POST", "/api/v1/drills", cookie=cookie, origin=own, **headers) == 415
    assert asked(guard, "POST", "/api/v1/drills", cookie=cookie, **JSON) == 403  # from no page at all
    assert asked(guard, "POST", "/api/v1/drills", cookie=cookie, origin=own, **JSON) == 200


def test_a_session_is_a_name_that_was_given_out(guard: Guard) -> None:
    name = guard.open_session()
    assert name != TOKEN
    assert asked(guard, cookie=f"{guard.cookie}={name}") == 200
    assert asked(guard, cookie=f"{guard.cookie}={name}x") == 401
    assert asked(guard, cookie=f"{guard.cookie}={TOKEN}") == 401
    assert asked(guard, cookie=f"outlast-1={name}") == 401
    for _ in range(SESSIONS_MAX):
        guard.open_session()
    assert asked(guard, cookie=f"{guard.cookie}={name}") == 401


def test_without_a_token_one_may_look_and_nobody_may_act() -> None:
    guard = Guard("", 8432)
    assert asked(guard) == 200
    assert asked(guard, "POST", "/api/v1/labs/x/heal", origin="http://127.0.0.1:8432", **JSON) == 403
    assert not guard.admits("")
