"""Suite ``raft-failure``: its drills are all of it."""

from __future__ import annotations

from typing import Final

TITLE: Final = (
    "Members of a replicated log die or are cut off; "
    "what was acknowledged stays, without a majority nothing is accepted"
)
