"""Suite ``node-loss``: its drills are all of it."""

from __future__ import annotations

from typing import Final

TITLE: Final = "Each way to lose a node, a planned move, and who is promoted"
