"""How a request that acts is carried out: told what it would do, or started as a job."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Depends, Request
from fastapi.responses import JSONResponse

from outlast.web.api.models import Preview
from outlast.web.hub import Hub
from outlast.web.intents import Intent


def _hub_of(request: Request) -> Hub:
    hub = request.app.state.hub
    assert isinstance(hub, Hub)
    return hub


HubDependency: TypeAlias = Annotated[Hub, Depends(_hub_of)]
"""The application's hub, as a route's argument."""


async def start(hub: Hub, intent: Intent, preview: bool) -> JSONResponse:
    """Start a job for an intent (202); preview: say what it would do (200)."""
    if preview:
        command = " ".join(("outlast", *intent.words))
        said = Preview(what=intent.what, says=list(intent.says), command=command, harm=intent.harm)
        return JSONResponse(said.model_dump())
    job = await hub.jobs.start(intent.what, intent.lab, intent.words)
    return JSONResponse(job.document(), 202)
