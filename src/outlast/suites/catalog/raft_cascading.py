"""Suite ``raft-cascading``: its drills are all of it."""

from __future__ import annotations

from typing import Final

TITLE: Final = "All members of a replicated log lost one by one, and back: nothing lost, writable within 10 s"
