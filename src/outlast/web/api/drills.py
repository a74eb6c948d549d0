"""Work: drills, the jobs that run here, and the runs that are stored."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from outlast.config import drill_suites, preset_names
from outlast.web import intents
from outlast.web.api.actions import HubDependency, start
from outlast.web.api.models import ANSWERS, DrillRequest, Name

router = APIRouter(prefix="/api/v1")


@router.get("/drills")
async def drills() -> dict[str, Any]:
    """The drills, by suite, and the presets that they can run on."""
    return {"suites": drill_suites(), "presets": list(preset_names())}


@router.post("/drills", responses=ANSWERS)
async def drill(hub: HubDependency, body: DrillRequest) -> Any:
    """Start a drill."""
    intent = await asyncio.to_thread(
        intents.drill_intent, body.drill, body.lab, body.system, body.sets, body.seed
    )
    return await start(hub, intent, body.preview)


@router.get("/jobs")
async def jobs(hub: HubDependency) -> dict[str, list[Any]]:
    """The commands that were started here."""
    return {"jobs": [one.document() for one in hub.jobs.all()]}


@router.get("/jobs/{job}", responses={404: {}})
async def job(hub: HubDependency, job: Name) -> JSONResponse:
    """One of them."""
    found = hub.jobs.job(job)
    if found is None:
        return JSONResponse({"error": f"there is no job {job}"}, 404)
    return JSONResponse(found.document())


@router.post("/jobs/{job}/stop", status_code=202, responses={404: {}})
async def stop(hub: HubDependency, job: Name) -> JSONResponse:
    """Ask one to end early: it heals and removes what it made."""
    if not hub.jobs.stop(job):
        return JSONResponse({"error": f"no job {job} runs"}, 404)
    return JSONResponse({"stopping": job}, 202)


@router.get("/runs")
async def runs(hub: HubDependency) -> dict[str, list[Any]]:
    """The newest stored runs."""
    return {"runs": await asyncio.to_thread(hub.runs.newest)}
