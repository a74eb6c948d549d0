"""What the exporter asks of a manager."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from outlast.monitoring.exporter.state import ManagerSample

LOOK_TIMEOUT_S: Final = 1.0


class ManagerProbe(Protocol):
    """Asks a system's manager, once a round. A part that does not answer is a sample that says so, no error."""

    async def sample(self) -> Mapping[str, ManagerSample]:
        """Return what the manager says of each node; bounded by LOOK_TIMEOUT_S."""
        ...
