"""Labs: what they look like, and what can be done to one."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.exceptions import HTTPException

from outlast.clusters import lifecycle
from outlast.web import intents
from outlast.web.api.actions import HubDependency, start
from outlast.web.api.models import ANSWERS, ActionRequest, InjectRequest, Name, SwitchoverRequest

router = APIRouter(prefix="/api/v1/labs")


def _there(lab: Name) -> str:
    if lab not in lifecycle.labs():
        raise HTTPException(404, f"there is no lab {lab}")
    return lab


Lab = Annotated[str, Depends(_there)]


@router.get("")
async def labs() -> dict[str, list[str]]:
    """The labs that are up."""
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
    return {"faults": await asyncio.to_thread(intents.fault_documents, lab)}


@router.post("/{lab}/switchover", responses=ANSWERS)
async def switchover(hub: HubDependency, lab: Lab, body: SwitchoverRequest | None = None) -> Any:
    """Move the primary in order."""
    body = body or SwitchoverRequest()
    return await start(hub, await intents.switchover_intent(lab, body.target), body.preview)


@router.post("/{lab}/failover", responses=ANSWERS)
async def failover(hub: HubDependency, lab: Lab, body: SwitchoverRequest | None = None) -> Any:
    """Have a standby promoted."""
    body = body or SwitchoverRequest()
    return await start(hub, await intents.failover_intent(lab, body.target), body.preview)


@router.post("/{lab}/inject", responses=ANSWERS)
async def inject(hub: HubDependency, lab: Lab, body: InjectRequest) -> Any:
    """Inject a fault, until it is healed."""
    intent = await intents.injection_intent(lab, body.fault, body.on, body.params)
    return await start(hub, intent, body.preview)


@router.post("/{lab}/heal", responses=ANSWERS)
async def heal(hub: HubDependency, lab: Lab, body: ActionRequest | None = None) -> Any:
    """Heal all that was injected."""
    return await start(hub, await intents.healing_intent(lab), body is not None and body.preview)
