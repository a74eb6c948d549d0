"""The application: the page, the way in, the stream, and the control API behind one guard.

What acts answers 202 with a job, which is the command line's own command.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

import outlast
from outlast.errors import ClusterError, ConfigError, HostError, OutlastError, UnavailableError
from outlast.history.store import load_run
from outlast.hosts.state import runs_folder
from outlast.report.html import page_of
from outlast.web.api import drills, labs
from outlast.web.api.actions import HubDependency
from outlast.web.api.models import Name, SessionRequest
from outlast.web.guard import Guard, GuardMiddleware
from outlast.web.hub import Hub

STATIC: Final = Path(str(files("outlast.web"))) / "static"
_STATIC_FILES: Final = ("live.css", "live.js", "topology.js", "panels.js", "controls.js")
_RUN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

pages = APIRouter()


def make_app(guard: Guard) -> FastAPI:
    """Return the application behind a guard."""
    hub = Hub()

    @contextlib.asynccontextmanager
    async def living(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await hub.end()

    app = FastAPI(
        title="Outlast",
        version=outlast.__version__,
        description="Watch a lab and break it. Send the token as a bearer.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # it would load scripts from another machine
        redoc_url=None,
        lifespan=living,
    )
    app.state.hub, app.state.guard = hub, guard
    app.add_middleware(GuardMiddleware, guard=guard)
    app.add_exception_handler(OutlastError, _refused)
    app.add_exception_handler(RequestValidationError, _misspelt)
    app.add_exception_handler(HTTPException, _plain)
    for router in (pages, labs.router, drills.router):
        app.include_router(router)
    return app


@pages.get("/", include_in_schema=False)
async def page() -> Response:
    """The live page."""
    return HTMLResponse((STATIC / "live.html").read_text(encoding="utf-8"))


@pages.get("/static/{name}", include_in_schema=False)
async def static(name: str) -> Response:
    """A file of the page's."""
    if name not in _STATIC_FILES:
        return JSONResponse({"error": "there is no such file"}, 404)
    return FileResponse(STATIC / name)


@pages.post("/api/v1/session", status_code=204)
async def session(request: Request, body: SessionRequest) -> Response:
    """Trade the token for a cookie."""
    guard: Guard = request.app.state.guard
    if not guard.admits(body.token):
        return JSONResponse({"error": "wrong token"}, 401)
    response = Response(status_code=204)
    response.set_cookie(guard.cookie, guard.open_session(), httponly=True, samesite="strict", path="/")
    return response


@pages.get("/api/v1/stream", response_class=StreamingResponse)
async def stream(hub: HubDependency, lab: Name | None = None) -> Response:
    """Server-sent events: hello, then scene, figures, event, job, labs, runs as they change."""
    return StreamingResponse(
        hub.stream(lab), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


@pages.get("/runs/{run}/report", response_class=HTMLResponse)
async def report(run: Name) -> Response:
    """A run's report, the page that ``outlast report --html`` writes."""
    folder = runs_folder() / run
    if not _RUN_NAME.fullmatch(run) or not (folder / "run.json").is_file():
        return JSONResponse({"error": f"there is no run {run}"}, 404)
    text = await asyncio.to_thread(lambda: page_of([(load_run(folder), folder)]))
    # Its own policy is inside it, and is stricter than ours: that one script, by its hash.
    return HTMLResponse(text, headers={"Content-Security-Policy": "frame-ancestors 'none'"})


def _status_of(error: OutlastError) -> Literal[409, 422, 500]:
    if isinstance(error, ConfigError):
        return 422
    return 409 if isinstance(error, UnavailableError | ClusterError | HostError) else 500


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, OutlastError)
    return JSONResponse({"error": error.message, "hint": error.hint}, _status_of(error))


async def _plain(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail), "hint": None}, error.status_code)


async def _misspelt(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(one) for one in first["loc"][1:])
    return JSONResponse({"error": f"{where}: {first['msg']}", "hint": None}, 422)
