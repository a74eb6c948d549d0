"""What requests and answers of the control API are made of."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class ActionRequest(BaseModel):
    """What a request asks for. preview: only say what would be done."""

    model_config = ConfigDict(extra="forbid")
    preview: bool = False


class SwitchoverRequest(ActionRequest):
    """target: the node that is to lead; the manager's choice without."""

    target: Name | None = None


class InjectRequest(ActionRequest):
    """fault: its name. on: a symbolic target or a node. params: over the fault's defaults."""

    fault: Name
    on: Name
    params: dict[Name, JsonValue] = Field(default_factory=dict)


class DrillRequest(ActionRequest):
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


class SessionRequest(BaseModel):
    """token: as it was printed."""

    token: str = Field(max_length=200)


class JobDocument(BaseModel):
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


ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": Preview},
    202: {"model": JobDocument},
    404: {},
    409: {},
    422: {},
}
"""What a request that acts may be answered with: what it would do, the job that does it, or why not."""
