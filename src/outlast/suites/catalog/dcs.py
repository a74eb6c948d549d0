"""Suite ``dcs``: its drills are all of it."""

from __future__ import annotations

from typing import Final

TITLE: Final = "The consensus store loses its leader, then its majority"
