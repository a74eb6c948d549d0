"""Suite ``backup``: its drills, and an archive that keeps nothing as the negative control of all of them."""

from __future__ import annotations

from typing import Final

from outlast.suites.expected import Case, Expected

TITLE: Final = (
    "Backups restore: to the instant before a mistake, across a failover; broken archives are found"
)

CASES: Final = (
    Case(
        "archive-silent",
        "An archive_command that says yes and keeps nothing",
        "point-in-time",
        "patroni",
        ("postgresql.parameters.archive_command=/bin/true",),
        Expected(
            ("restorable", "fault_effects"),
            "archive_command has no one to contradict it: the server believes that its WAL is archived",
            must=True,
        ),
    ),
)
