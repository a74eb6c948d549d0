"""Suite ``raft-network``: its drills are all of it."""

from __future__ import annotations

from typing import Final

TITLE: Final = "A replicated log under delay, loss, partition and late closes, on client and on peer links"
