"""Suite ``raft-recovery``: its drills are all of it."""

from __future__ import annotations

from typing import Final

TITLE: Final = "Members that were killed, left behind or restarted come back, and every message with them"
