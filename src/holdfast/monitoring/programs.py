"""Debian's programs for monitoring, found on PATH."""

from __future__ import annotations

import shutil
from typing import Final

from holdfast.errors import UnavailableError

NAMES: Final[dict[str, tuple[str, ...]]] = {
    "prometheus": ("prometheus",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "promtool": ("promtool",),
    "amtool": ("amtool",),
    "postgres_exporter": ("prometheus-postgres-exporter", "postgres_exporter"),
}
"""Each program by the names it has: Debian's first, then its makers'."""

_PACKAGES: Final[dict[str, str]] = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "postgres_exporter": "prometheus-postgres-exporter",
}


def find(program: str) -> str | None:
    """Return a program's path, None when it is not installed."""
    return next((path for name in NAMES[program] if (path := shutil.which(name))), None)


def need(program: str) -> str:
    """Return a program's path. Raises UnavailableError with the command that brings it."""
    path = find(program)
    if path is None:
        raise UnavailableError(
            f"{NAMES[program][0]} is not installed",
            hint=f"apt-get install {_PACKAGES[program]}, or: make systems",
        )
    return path
