"""Suite ``raft-soak``: its drills are all of it."""

from __future__ import annotations

from typing import Final

TITLE: Final = "A replicated log, and a failure every 20 seconds"
