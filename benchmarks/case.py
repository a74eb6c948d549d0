"""One measured case, as ``outlast bench`` prints it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """What was measured, ours and, where there is one, a peer's that does the same work with the same settings.

    ours, peer: in unit. peer_name: the peer, by the program or script it is.
    """

    case: str
    ours: float
    unit: str
    peer: float | None = None
    peer_name: str | None = None

    @property
    def ratio(self) -> float | None:
        """Ours / peer; None without a peer."""
        return self.ours / self.peer if self.peer else None
