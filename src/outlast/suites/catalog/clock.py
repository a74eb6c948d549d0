"""Suite ``clock``: its drills are all of it."""

from __future__ import annotations

from typing import Final

TITLE: Final = "Wall clocks that jump decide nothing"
