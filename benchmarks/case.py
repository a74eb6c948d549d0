"""One measured case, as ``holdfast bench`` prints it."""

from __future__ import annotations

from typing import TypedDict


class Case(TypedDict):
    """ours, peer: in unit; ratio: ours / peer; peer, its name and ratio are None without a peer."""

    case: str
    ours: float
    peer: float | None
    peer_name: str | None
    unit: str
    ratio: float | None


def case(name: str, unit: str, ours: float, peer: float | None = None, peer_name: str | None = None) -> Case:
    """Return a case with its ratio."""
    ratio = ours / peer if peer else None
    return Case(case=name, ours=ours, peer=peer, peer_name=peer_name, unit=unit, ratio=ratio)
