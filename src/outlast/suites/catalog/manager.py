"""Suite ``manager``: its drills are all of it."""

from __future__ import annotations

from typing import Final

TITLE: Final = "The manager of the primary, and the monitor, die alone"
