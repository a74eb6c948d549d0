"""Labs: what they look like, and what can be done to one."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.exceptions import HTTPException

from outlast.clusters import lifecycle
from outlast.web import says
from outlast.web.api.asked import ANSWERS, Asked, Inject, Move, Name
from outlast.web.api.start import OfHub, start

router = APIRouter(prefix="/api/v1/labs")


def _there(lab: Name) -> str:
    if lab not in lifecycle.labs():
        raise HTTPException(404, f"there is no lab {lab}")
    return lab


Lab = Annotated[str, Depends(_there)]


@router.get("")
async def labs() -> dict[str, list[str]]:
    """The labs that there are."""
    return {"labs": list(lifecycle.labs())}


@router.get("/{lab}")
async def status(lab: Lab) -> dict[str, Any]:
    """A lab's nodes, as ``outlast status --json`` shows them."""
    cluster = lifecycle.attach(lab)
    view = await cluster.view()
    nodes = [
        {"name": one.name, "role": one.role, "state": one.state, "healthy": one.healthy, "timeline": one.timeline,
         "lsn": one.lsn, "lag_bytes": one.lag_bytes, "sync": one.sync}
        for one in view.nodes
    ]  # fmt: skip
    shown = {"lab": lab, "system": cluster.spec.system, "ready": view.ready, "primary": view.primary}
    return {**shown, "nodes": nodes}


@router.get("/{lab}/faults")
async def faults(lab: Lab) -> dict[str, Any]:
    """Every fault, and whether it can be injected into this lab."""
    return {"faults": await asyncio.to_thread(says.fault_documents, lab)}


@router.post("/{lab}/switchover", responses=ANSWERS)
async def switchover(hub: OfHub, lab: Lab, asked: Move | None = None) -> Any:
    """Move the primary in order."""
    asked = asked or Move()
    return await start(hub, await says.to_switch(lab, asked.target), asked.preview)


@router.post("/{lab}/failover", responses=ANSWERS)
async def failover(hub: OfHub, lab: Lab, asked: Move | None = None) -> Any:
    """Have a standby promoted."""
    asked = asked or Move()
    return await start(hub, await says.to_fail_over(lab, asked.target), asked.preview)


@router.post("/{lab}/inject", responses=ANSWERS)
async def inject(hub: OfHub, lab: Lab, asked: Inject) -> Any:
    """Inject a fault, until it is healed."""
    intent = await says.to_inject(lab, asked.fault, asked.on, asked.params)
    return await start(hub, intent, asked.preview)


@router.post("/{lab}/heal", responses=ANSWERS)
async def heal(hub: OfHub, lab: Lab, asked: Asked | None = None) -> Any:
    """Heal all that was injected."""
    return await start(hub, await says.to_heal(lab), asked is not None and asked.preview)
