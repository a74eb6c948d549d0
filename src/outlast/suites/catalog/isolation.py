"""Suite ``isolation``: its drills are all of it."""

from __future__ import annotations

from typing import Final

TITLE: Final = "No anomaly that the isolation level forbids; the long fork that standbys bring is found"
