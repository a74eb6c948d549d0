"""The REST API's routes, tokens and errors. Every answer is JSON, errors too: {"error", "hint"}.

A token is a JSON Web Token (RFC 7519), signed with a secret that the balancer's host alone has, for an hour.
"""

from __future__ import annotations

import hmac
import time
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

import jwt
from fastapi import Depends, FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from outlast.systems.pgpool.rest.balancer import ApiError, Backend, Balancer

PREFIX: Final = "/api/v1"
ALGORITHM: Final = "HS256"
TOKEN_S: Final = 3600
BODY_BYTES_MAX: Final = 65536
NODES_MAX: Final = 128
_BEARER: Final = HTTPBearer(auto_error=False, description="the token of auth/login")


@dataclass(frozen=True, slots=True)
class Login:
    """Who may use the API. secret: what tokens are signed with."""

    user: str
    password: str = field(repr=False)
    secret: str = field(repr=False)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class LoginCredentials(_Strict):
    """Of a login."""

    username: str = Field(max_length=128)
    password: str = Field(max_length=1024)


class Stop(_Strict):
    """How to end: smart waits for clients, fast ends their sessions, immediate does not clean up."""

    mode: Literal["smart", "fast", "immediate"] = "fast"


class Token(BaseModel):
    """A token and how long it is good for."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int


class Error(BaseModel):
    """What was wrong, and what to do about it where there is something to do."""

    error: str
    hint: str | None = None


class BackendNode(BaseModel):
    """A node. status, role: Pgpool-II's word; running, writable, timeline, lsn: its server's own."""

    id: int
    name: str
    address: str
    port: int
    status: str
    attached: bool
    role: str
    weight: float
    lag_bytes: int
    running: bool
    writable: bool | None
    timeline: int | None
    lsn: str | None


class Status(BaseModel):
    """The balancer as a whole. primary: the one node that takes writes, null when there is none or several."""

    balancer: str
    running: bool
    primary: int | None
    nodes: list[BackendNode]
    processes: int | None
    load_balance_mode: str | None


class Done(BaseModel):
    """An act that was done and seen to be. changed: false when it was so already."""

    done: str
    changed: bool
    primary: int | None = None
    took_s: float | None = None
    node: BackendNode | None = None


class Nodes(BaseModel):
    """All nodes."""

    nodes: list[BackendNode]


class HealthStats(BaseModel):
    """Figures of the health checks by node, named as Pgpool-II names them."""

    nodes: dict[int, dict[str, str]]


class Processes(BaseModel):
    """What serves clients, field by field as Pgpool-II names them."""

    processes: list[dict[str, str]]


class Watchdog(BaseModel):
    """The watchdog. info: what it says of itself while it is on."""

    enabled: bool
    info: dict[str, str]


_ERRORS: Final = (
    400,
    401,
    404,
    405,
    409,
    413,
    422,
    501,
    502,
    503,
    504,
)  # no 500: that would be our own fault
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    code: {"model": Error, "description": HTTPStatus(code).phrase} for code in _ERRORS
}
NodeId = Annotated[int, Path(ge=0, lt=NODES_MAX, description="number of a backend")]


def make_app(balancer: Balancer, login: Login) -> FastAPI:
    """Return the API of a balancer."""
    app = FastAPI(
        title=f"Balancer {balancer.name}",
        version="1",
        description="Pgpool-II over REST: every act is done by the real one, and seen on the servers.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        responses=_RESPONSES,
    )
    app.state.balancer = balancer
    app.state.login = login
    _add_routes(app)
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(RequestValidationError, _on_bad_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_our_fault)

    @app.middleware("http")
    async def bounded(request: Request, call_next: Any) -> Any:
        length = request.headers.get("content-length", "0")
        if "transfer-encoding" in request.headers or not length.isdecimal() or int(length) > BODY_BYTES_MAX:
            return _error(413, f"a request's body has at most {BODY_BYTES_MAX} bytes, and says how many")
        return await call_next(request)

    return app


def _signed_in(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> str:
    """Return the user of a good token. Raises ApiError 401."""
    if given is None:
        raise ApiError(
            401, "no token", f"POST {PREFIX}/auth/login gives one; send it as Authorization: Bearer"
        )
    login: Login = request.app.state.login
    try:
        claims = jwt.decode(
            given.credentials, login.secret, algorithms=[ALGORITHM], options={"require": ["exp", "sub"]}
        )
    except jwt.ExpiredSignatureError:
        raise ApiError(401, "the token has expired", f"POST {PREFIX}/auth/login") from None
    except jwt.InvalidTokenError:
        raise ApiError(401, "the token is not one of this balancer's", f"POST {PREFIX}/auth/login") from None
    return str(claims["sub"])


SignedIn = Annotated[str, Depends(_signed_in)]


def _balancer(request: Request) -> Balancer:
    found: Balancer = request.app.state.balancer
    return found


Asked = Annotated[Balancer, Depends(_balancer)]


async def sign_in(request: Request, given: LoginCredentials) -> Token:
    """Return a token for the balancer's user and password (``outlast credentials``)."""
    login: Login = request.app.state.login
    right_user = hmac.compare_digest(given.username.encode(), login.user.encode())
    right_password = hmac.compare_digest(given.password.encode(), login.password.encode())
    if not (right_user and right_password):
        raise ApiError(401, "the user or the password is wrong", "outlast credentials")
    now = int(time.time())
    claims = {"sub": login.user, "iat": now, "exp": now + TOKEN_S}
    return Token(access_token=jwt.encode(claims, login.secret, algorithm=ALGORITHM), expires_in=TOKEN_S)


async def status(_user: SignedIn, balancer: Asked) -> Status:
    """Return the balancer and its nodes; running is false while Pgpool-II does not answer."""
    try:
        backends = await balancer.backends()
        settings, processes = await balancer.settings(), await balancer.processes()
    except ApiError as error:
        if error.status != 503:
            raise
        return Status(
            balancer=balancer.name,
            running=False,
            primary=None,
            nodes=[],
            processes=None,
            load_balance_mode=None,
        )
    pids = {one.get("PID", str(at)) for at, one in enumerate(processes)}
    return Status(
        balancer=balancer.name,
        running=True,
        primary=_primary(backends),
        nodes=[_node(backend) for backend in backends],
        processes=len(pids),
        load_balance_mode=settings.get("load_balance_mode"),
    )


async def health_stats(_user: SignedIn, balancer: Asked) -> HealthStats:
    """Return the counts and times of the health checks."""
    return HealthStats(nodes=await balancer.health_stats())


async def nodes(_user: SignedIn, balancer: Asked) -> Nodes:
    """Return all nodes."""
    return Nodes(nodes=[_node(one) for one in await balancer.backends()])


async def node(_user: SignedIn, balancer: Asked, node_id: NodeId) -> BackendNode:
    """Return one node."""
    return _node(await balancer.backend(node_id))


async def attach(_user: SignedIn, balancer: Asked, node_id: NodeId) -> Done:
    """Have clients led to a node again; returns once that is so."""
    return await _done(balancer, "attach", node_id, await balancer.attach(node_id))


async def detach(_user: SignedIn, balancer: Asked, node_id: NodeId) -> Done:
    """Have no clients led to a node; of the primary, fail over: returns once exactly one other node takes writes."""
    return await _done(balancer, "detach", node_id, await balancer.detach(node_id))


async def recovery(_user: SignedIn, balancer: Asked, node_id: NodeId) -> Done:
    """Have a node rebuilt by online recovery, where that is set up."""
    await balancer.recover(node_id)
    return await _done(balancer, "recovery", node_id, True)


async def promote(_user: SignedIn, balancer: Asked, node_id: NodeId) -> Done:
    """Make a node the primary; returns once it alone takes writes."""
    took_s = await balancer.promote(node_id)
    return await _done(balancer, "promote", node_id, True, took_s)


async def stop(_user: SignedIn, balancer: Asked, how: Stop | None = None) -> Done:
    """End Pgpool-II; this API stays."""
    await balancer.stop((how or Stop()).mode)
    return Done(done="stop", changed=True)


async def reload(_user: SignedIn, balancer: Asked) -> Done:
    """Have the configuration read again."""
    await balancer.reload()
    return Done(done="reload", changed=True)


async def rotate_log(_user: SignedIn, balancer: Asked) -> Done:
    """Begin a new log file, where Pgpool-II can."""
    await balancer.rotate_log()
    return Done(done="logrotate", changed=True)


async def processes(_user: SignedIn, balancer: Asked) -> Processes:
    """Return what serves clients."""
    return Processes(processes=list(await balancer.processes()))


async def invalidate_cache(_user: SignedIn, balancer: Asked) -> Done:
    """Empty the query cache, where Pgpool-II can."""
    await balancer.invalidate_cache()
    return Done(done="invalidate", changed=True)


async def watchdog_info(_user: SignedIn, balancer: Asked) -> Watchdog:
    """Return what the watchdog says of itself; 501 while it is off."""
    info = await balancer.watchdog()
    if info is None:
        raise ApiError(
            501, "the watchdog is off", "set use_watchdog in Pgpool-II's configuration and restart it"
        )
    return Watchdog(enabled=True, info=info)


async def watchdog_status(_user: SignedIn, balancer: Asked) -> Watchdog:
    """Return whether the watchdog is on, and what it says of itself."""
    info = await balancer.watchdog()
    return Watchdog(enabled=info is not None, info=info or {})


async def watchdog_start(_user: SignedIn, balancer: Asked) -> Done:
    """Answer 501: Pgpool-II cannot."""
    await balancer.switch_watchdog(True)
    return Done(done="watchdog start", changed=True)


async def watchdog_stop(_user: SignedIn, balancer: Asked) -> Done:
    """Answer 501: Pgpool-II cannot."""
    await balancer.switch_watchdog(False)
    return Done(done="watchdog stop", changed=True)


_ROUTES: Final = (
    ("POST", "/auth/login", sign_in),
    ("GET", "/status", status),
    ("GET", "/health/stats", health_stats),
    ("GET", "/nodes", nodes),
    ("GET", "/nodes/{node_id}", node),
    ("POST", "/nodes/{node_id}/attach", attach),
    ("POST", "/nodes/{node_id}/detach", detach),
    ("POST", "/nodes/{node_id}/recovery", recovery),
    ("POST", "/nodes/{node_id}/promote", promote),
    ("POST", "/control/stop", stop),
    ("POST", "/control/reload", reload),
    ("POST", "/control/logrotate", rotate_log),
    ("GET", "/processes", processes),
    ("POST", "/cache/invalidate", invalidate_cache),
    ("GET", "/watchdog/info", watchdog_info),
    ("GET", "/watchdog/status", watchdog_status),
    ("POST", "/watchdog/start", watchdog_start),
    ("POST", "/watchdog/stop", watchdog_stop),
)


def _add_routes(app: FastAPI) -> None:
    for method, path, handler in _ROUTES:
        app.add_api_route(PREFIX + path, handler, methods=[method])


async def _done(
    balancer: Balancer, what: str, node_id: int, changed: bool, took_s: float | None = None
) -> Done:
    backends = await balancer.backends()
    here = next((backend for backend in backends if backend.pool.number == node_id), None)
    return Done(
        done=what,
        changed=changed,
        primary=_primary(backends),
        took_s=took_s,
        node=None if here is None else _node(here),
    )


def _primary(backends: tuple[Backend, ...]) -> int | None:
    writable = [backend.pool.number for backend in backends if backend.server.writable]
    return writable[0] if len(writable) == 1 else None


def _node(one: Backend) -> BackendNode:
    pool = one.pool
    return BackendNode(
        id=pool.number,
        name=one.name,
        address=pool.address,
        port=pool.port,
        status=pool.status,
        attached=pool.attached,
        role=pool.role,
        weight=pool.weight,
        lag_bytes=pool.lag_bytes,
        **asdict(one.server),
    )


def _error(status: int, message: str, hint: str | None = None) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"error": message, "hint": hint}, status, headers)


async def _on_api_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return _error(error.status, error.message, error.hint)


async def _on_bad_request(_request: Request, error: Exception) -> JSONResponse:
    """Say what is wrong with a request, never what was in it: that may be a password."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    words = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in found)
    is_no_json = any(one["type"] == "json_invalid" for one in found)
    return _error(400 if is_no_json else 422, words)


async def _on_http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    answer = _error(error.status_code, error.detail)
    answer.headers.update(error.headers or {})
    return answer


async def _on_our_fault(_request: Request, error: Exception) -> JSONResponse:
    return _error(
        500, f"the API itself failed: {type(error).__name__}", "log/rest.log on the balancer's host"
    )
