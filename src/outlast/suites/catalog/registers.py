"""Suite ``registers``: its drills are all of it."""

from __future__ import annotations

from typing import Final

TITLE: Final = "Reads and writes of single keys are linearizable while members are cut off, killed and hang"
