"""The control API and the page on it. What acts answers 202 with a job, which is the command line's own command."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.exceptions import HTTPException

import holdfast
from holdfast.cluster import lifecycle
from holdfast.errors import ClusterError, ConfigError, HoldfastError, HostError, UnavailableError
from holdfast.history.store import load_run
from holdfast.hosts.state import runs_folder
from holdfast.report.html import page_of
from holdfast.spec import drill_suites, preset_names
from holdfast.web import says
from holdfast.web.guard import Door, Guard
from holdfast.web.hub import Hub
from holdfast.web.jobs import Job

STATIC: Final = Path(str(files("holdfast.web"))) / "static"
_STATIC_FILES: Final = ("live.css", "live.js", "topology.js", "panels.js", "controls.js")
_RUN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Asked(BaseModel):
    """What a request asks for. preview: only say what would be done."""

    model_config = ConfigDict(extra="forbid")
    preview: bool = False


class Move(Asked):
    """target: the node that is to lead; the manager's choice without."""

    target: Name | None = None


class Inject(Asked):
    """fault: its name. on: a symbolic target or a node. params: over the fault's defaults."""

    fault: Name
    on: Name
    params: dict[Name, JsonValue] = Field(default_factory=dict)


class Drill(Asked):
    """drill: its name. lab: one that is up; without, the drill makes its own from system, a preset.

    sets: KEY=VALUE, as often as one likes.
    """

    drill: Name
    lab: Name | None = None
    system: Name | None = None
    sets: list[Annotated[str, Field(max_length=200, pattern=r"^[a-z][a-z0-9_.-]*=")]] = Field(
        default_factory=list, max_length=20
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None


class Session(BaseModel):
    """token: as it was printed."""

    token: str = Field(max_length=200)


class JobOut(BaseModel):
    """A command that was started."""

    id: str
    what: str
    lab: str
    command: str
    began_ms: int
    said: str
    code: int | None
    ended_ms: int | None
    verdict: str | None
    run: str | None
    error: str


class Preview(BaseModel):
    """What would be done. harm: whether it breaks something."""

    what: str
    says: list[str]
    command: str
    harm: bool


def make_app(guard: Guard) -> FastAPI:
    """Return the application behind a guard."""
    hub = Hub()

    @contextlib.asynccontextmanager
    async def living(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await hub.end()

    app = FastAPI(
        title="Holdfast",
        version=holdfast.__version__,
        description="Watch a lab and break it. Send the token as a bearer.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # it would load scripts from another machine
        redoc_url=None,
        lifespan=living,
    )
    app.state.hub = hub
    app.add_middleware(Door, guard=guard)
    app.add_exception_handler(HoldfastError, _refused)
    app.add_exception_handler(RequestValidationError, _misspelt)
    app.add_exception_handler(HTTPException, _plain)

    async def start(intent: says.Intent, preview: bool) -> Any:
        command = " ".join(("holdfast", *intent.words))
        if preview:
            return JSONResponse(
                Preview(
                    what=intent.what, says=list(intent.says), command=command, harm=intent.harm
                ).model_dump()
            )
        job = await hub.jobs.start(intent.what, intent.lab, intent.words)
        return JSONResponse(job.document(), 202)

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return HTMLResponse((STATIC / "live.html").read_text(encoding="utf-8"))

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in _STATIC_FILES:
            return JSONResponse({"error": "there is no such file"}, 404)
        return FileResponse(STATIC / name)

    @app.post("/api/v1/session", status_code=204)
    async def session(asked: Session) -> Response:
        """Trade the token for a cookie."""
        if not guard.admits(asked.token):
            return JSONResponse({"error": "that is not the token"}, 401)
        response = Response(status_code=204)
        response.set_cookie(guard.cookie, guard.open_session(), httponly=True, samesite="strict", path="/")
        return response

    @app.get("/api/v1/stream", include_in_schema=True, response_class=StreamingResponse)
    async def stream(lab: Name | None = None) -> Response:
        """Server-sent events: hello, then scene, figures, event, job, labs, runs as they change."""
        return StreamingResponse(
            hub.stream(lab), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )

    @app.get("/api/v1/labs")
    async def labs() -> dict[str, list[str]]:
        """The labs that there are."""
        return {"labs": list(lifecycle.labs())}

    @app.get("/api/v1/labs/{lab}")
    async def status(lab: Name) -> JSONResponse:
        """A lab's nodes, as ``holdfast status --json`` shows them."""
        cluster = lifecycle.attach(lab)
        view = await cluster.view()
        nodes = [
            {"name": one.name, "role": one.role, "state": one.state, "healthy": one.healthy, "timeline": one.timeline,
             "lsn": one.lsn, "lag_bytes": one.lag_bytes, "sync": one.sync}
            for one in view.nodes
        ]  # fmt: skip
        return JSONResponse(
            {
                "lab": lab,
                "system": cluster.spec.system,
                "ready": view.ready,
                "primary": view.primary,
                "nodes": nodes,
            }
        )

    @app.get("/api/v1/labs/{lab}/faults")
    async def lab_faults(lab: Name) -> JSONResponse:
        """Every fault, and whether it can be injected into this lab."""
        return JSONResponse({"faults": await asyncio.to_thread(says.fault_documents, lab)})

    @app.post("/api/v1/labs/{lab}/switchover", responses=_ANSWERS)
    async def switchover(lab: Name, asked: Move | None = None) -> Any:
        """Move the primary in order."""
        asked = asked or Move()
        return await start(await says.to_switch(lab, asked.target), asked.preview)

    @app.post("/api/v1/labs/{lab}/failover", responses=_ANSWERS)
    async def failover(lab: Name, asked: Move | None = None) -> Any:
        """Have a standby promoted."""
        asked = asked or Move()
        return await start(await says.to_fail_over(lab, asked.target), asked.preview)

    @app.post("/api/v1/labs/{lab}/inject", responses=_ANSWERS)
    async def inject(lab: Name, asked: Inject) -> Any:
        """Inject a fault, until it is healed."""
        intent = await says.to_inject(lab, asked.fault, asked.on, asked.params)
        return await start(intent, asked.preview)

    @app.post("/api/v1/labs/{lab}/heal", responses=_ANSWERS)
    async def heal(lab: Name, asked: Asked | None = None) -> Any:
        """Heal all that was injected."""
        return await start(await says.to_heal(lab), asked is not None and asked.preview)

    @app.get("/api/v1/drills")
    async def drills() -> dict[str, Any]:
        """The drills, by suite, and the presets that they can run on."""
        return {"suites": drill_suites(), "presets": list(preset_names())}

    @app.post("/api/v1/drills", responses=_ANSWERS)
    async def drill(asked: Drill) -> Any:
        """Start a drill."""
        intent = await asyncio.to_thread(
            says.to_drill, asked.drill, asked.lab, asked.system, asked.sets, asked.seed
        )
        return await start(intent, asked.preview)

    @app.get("/api/v1/jobs")
    async def jobs() -> dict[str, list[Any]]:
        """The commands that were started here."""
        return {"jobs": [one.document() for one in hub.jobs.all()]}

    @app.get("/api/v1/jobs/{job}", responses={404: {}})
    async def job(job: Name) -> JSONResponse:
        """One of them."""
        found: Job | None = hub.jobs.job(job)
        return (
            JSONResponse({"error": f"there is no job {job}"}, 404)
            if found is None
            else JSONResponse(found.document())
        )

    @app.post("/api/v1/jobs/{job}/stop", status_code=202, responses={404: {}})
    async def stop(job: Name) -> JSONResponse:
        """Ask one to end early: it heals and removes what it made."""
        if not hub.jobs.stop(job):
            return JSONResponse({"error": f"no job {job} runs"}, 404)
        return JSONResponse({"stopping": job}, 202)

    @app.get("/api/v1/runs")
    async def runs() -> dict[str, list[Any]]:
        """The newest stored runs."""
        return {"runs": await asyncio.to_thread(hub.runs.newest)}

    @app.get("/runs/{run}/report", response_class=HTMLResponse)
    async def report(run: Name) -> Response:
        """A run's report, the page that ``holdfast report --html`` writes."""
        folder = runs_folder() / run
        if not _RUN_NAME.fullmatch(run) or not (folder / "run.json").is_file():
            return JSONResponse({"error": f"there is no run {run}"}, 404)
        text = await asyncio.to_thread(lambda: page_of([(load_run(folder), folder)]))
        # Its own policy is inside it, and is stricter than ours: that one script, by its hash.
        return HTMLResponse(text, headers={"Content-Security-Policy": "frame-ancestors 'none'"})

    return app


_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": Preview},
    202: {"model": JobOut},
    404: {},
    409: {},
    422: {},
}


def _status_of(error: HoldfastError) -> Literal[404, 409, 422, 500]:
    if isinstance(error, ConfigError):
        return 404 if error.reason.startswith("there is no") else 422
    return 409 if isinstance(error, UnavailableError | ClusterError | HostError) else 500


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HoldfastError)
    return JSONResponse({"error": error.message, "hint": error.hint}, _status_of(error))


async def _plain(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail), "hint": None}, error.status_code)


async def _misspelt(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(one) for one in first["loc"][1:])
    return JSONResponse({"error": f"{where}: {first['msg']}", "hint": None}, 422)
