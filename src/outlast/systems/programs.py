"""Finds the programs that PyPI does not bring: Debian's balancers, managers and monitors.

A new one is a line in ``PROGRAMS``; ``outlast doctor`` lists them, and what needs one asks ``program``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from outlast.errors import UnavailableError

_PLACES: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")
"""Looked at after PATH: an ordinary user's often lacks the folders in which daemons are."""


@dataclass(frozen=True, slots=True)
class MachineProgram:
    """A program of the machine. package: Debian's, that holds it. purpose: what cannot be done without it."""

    package: str
    purpose: str


PROGRAMS: Final[Mapping[str, MachineProgram]] = {
    "haproxy": MachineProgram("haproxy", "routes through HAProxy"),
    "pgbouncer": MachineProgram("pgbouncer", "routes through PgBouncer"),
    "pgpool": MachineProgram("pgpool2", "the system pgpool"),
    "pgbackrest": MachineProgram("pgbackrest", "backups"),
    "pg_autoctl": MachineProgram("pg-auto-failover-cli", "the system pg_auto_failover"),
    "prometheus": MachineProgram("prometheus", "monitoring"),
    "promtool": MachineProgram("prometheus", "tests of alerting rules"),
    "amtool": MachineProgram("prometheus-alertmanager", "checks of Alertmanager's configuration"),
    "prometheus-alertmanager": MachineProgram("prometheus-alertmanager", "alerts"),
    "prometheus-postgres-exporter": MachineProgram("prometheus-postgres-exporter", "PostgreSQL's metrics"),
    "chromium": MachineProgram("chromium", "tests of the live page"),
    "kcat": MachineProgram("kcat", "tests with a Kafka client"),
}
"""The programs there may be, by name. ``make systems`` installs all of their packages."""


def program(name: str) -> str:
    """Return the path of a program. Raises UnavailableError that says which package has it."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_PLACES))
    found = shutil.which(name, path=path)
    if found is None:
        package = PROGRAMS[name].package if name in PROGRAMS else name
        raise UnavailableError(
            f"{name} is not installed", hint=f"make systems, as root; or apt-get install {package}"
        )
    return found


def missing(*names: str) -> str | None:
    """Return why the first of these programs that is not installed cannot be used; None when all are there."""
    for name in names:
        try:
            program(name)
        except UnavailableError as error:
            return f"{error.message} ({error.hint})"
    return None
