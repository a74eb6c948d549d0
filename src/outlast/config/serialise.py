"""A spec back as a document, so that a stored run can be repeated."""

from __future__ import annotations

from pydantic import JsonValue, TypeAdapter

from outlast.config.cluster import ClusterSpec
from outlast.config.drill import DrillSpec

_PORT = {"__all__": {"port"}}  # `ports` says it already, and can be set to {} in one place


def to_document(spec: ClusterSpec | DrillSpec) -> dict[str, JsonValue]:
    """Return a spec as JSON values that load to an equal spec.

    Defaults are written out, so that a run stored today repeats the same after a default has changed.
    """
    document: dict[str, JsonValue]
    if isinstance(spec, ClusterSpec):
        document = TypeAdapter(ClusterSpec).dump_python(
            spec, mode="json", by_alias=True, exclude={"nodes": _PORT, "dcs": _PORT, "services": _PORT}
        )
    else:
        document = TypeAdapter(DrillSpec).dump_python(spec, mode="json", by_alias=True)
    return document
