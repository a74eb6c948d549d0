"""Suite ``storage``: its drills are all of it."""

from __future__ import annotations

from typing import Final

TITLE: Final = "Power loss with all that was not fsynced, and a full disk (root)"
