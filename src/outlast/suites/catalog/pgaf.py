"""Suite ``pgaf``: requirements B7 to B12 on pg_auto_failover, or on any other system, with the healthcare data."""

from __future__ import annotations

from typing import Final

from outlast.suites import healthcare_checks
from outlast.suites.suite import SuiteCheck

TITLE: Final = "A clinic's data through failovers, a load and a partition"
SYSTEM: Final = "pg_auto_failover"
SETTINGS: Final = ("dataset=healthcare",)

CHECKS: Final = tuple(
    SuiteCheck(name, title, run, ("has-servers", "has-primary"))
    for name, title, run in (
        (
            "clinic-health",
            "One primary, its replicas in recovery, equal counts everywhere",
            healthcare_checks.health,
        ),
        (
            "clinic-load",
            "A hundred appointments arrive everywhere and are cleaned up",
            healthcare_checks.load,
        ),
        (
            "clinic-controlled-failover",
            "A planned move of the primary loses nothing, and clients are back at once",
            healthcare_checks.controlled_failover,
        ),
        (
            "clinic-automatic-failover",
            "A thousand rows of the log outlive the primary, which rejoins by itself",
            healthcare_checks.automatic_failover,
        ),
        (
            "clinic-partition",
            "A primary that is cut off is noticed and replaced; never two writers",
            healthcare_checks.partition,
        ),
    )
)
