"""Suite ``partition``: its drills are all of it."""

from __future__ import annotations

from typing import Final

TITLE: Final = "A primary that is cut off, in both directions and in one"
