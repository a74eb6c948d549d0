"""Whether a PostgreSQL would start with the parameters of a cluster, asked of the program itself before there is a lab.

Source: PostgreSQL manual, "postgres", option -C; "Shared Library Preloading".
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from outlast.config.cluster import ClusterSpec
from outlast.errors import UnavailableError
from outlast.pace import scaled
from outlast.systems.postgres.install import PostgresInstall, find, installed
from outlast.systems.postgres.server import quote
from outlast.systems.postgres.settings import server_parameters

ANSWER_TIMEOUT_S: Final = 20.0
PRELOADS: Final = ("shared_preload_libraries", "session_preload_libraries", "local_preload_libraries")
_PLACE: Final = re.compile(r" in file \"[^\"]*\" line \d+")


def refused_parameters(
    spec: ClusterSpec, find_install: Callable[[int | None], PostgresInstall] = find
) -> str | None:
    """Return why the PostgreSQL that spec asks for would not start with its parameters, None when it would.

    find_install: finds the one that will run, by its major version. None, too, where that PostgreSQL is not installed:
    then there is nobody to ask. The first time costs some 20 ms.
    """
    try:
        install = find_install(spec.version)
    except UnavailableError:
        return None
    parameters = server_parameters(spec)
    if missing := _missing_libraries(parameters, install):
        return missing
    # server_parameters are sound; what a person wrote is in doubt.
    return _refusal(install, tuple(parameters.items())) if spec.postgresql.parameters else None


def _missing_libraries(parameters: Mapping[str, str], install: PostgresInstall) -> str | None:
    """Say which libraries are preloaded and not there, and which PostgreSQL has them."""
    for setting in PRELOADS:
        wanted = [
            name.strip().strip("\"'") for name in parameters.get(setting, "").split(",") if name.strip()
        ]
        if lacking := [name for name in wanted if not _has_libraries(install, [name])]:
            others = [other for other in installed() if _has_libraries(other, wanted)]
            offer = ", ".join(f"version={other.major} ({other.source})" for other in others)
            return (
                f"PostgreSQL {install.version} ({install.source}) has no library {', '.join(lacking)}, which "
                f"postgresql.parameters.{setting} names; "
                + (f"what has all of them: {offer}" if offer else "no PostgreSQL found here has all of them")
            )
    return None


def _has_libraries(install: PostgresInstall, names: Iterable[str]) -> bool:
    root = install.bin_dir.parent
    folders = (root / "lib" / "postgresql", root / "lib")
    return all(any((folder / f"{Path(name).name}.so").is_file() for folder in folders) for name in names)


@cache
def _refusal(install: PostgresInstall, parameters: tuple[tuple[str, str], ...]) -> str | None:
    """Return what ``postgres`` says of a configuration file with these parameters, None when it takes them."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [f"{name} = {quote(value)}\n" for name, value in parameters]
        Path(folder, "postgresql.conf").write_text("".join(lines))
        Path(folder, "postgresql.auto.conf").touch()
        try:
            answer = subprocess.run(
                [install.program("postgres"), "-C", "port", "-D", folder],
                capture_output=True,
                text=True,
                errors="replace",
                env={"LC_ALL": "C"},
                timeout=scaled(ANSWER_TIMEOUT_S),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None  # it cannot be asked; the bring-up will say
    if answer.returncode == 0:
        return None
    said = [line.partition(":  ")[2] for line in answer.stderr.splitlines() if ":  " in line]
    reasons = dict.fromkeys(_PLACE.sub("", reason) for reason in said if "contains errors" not in reason)
    return f"PostgreSQL {install.version} refuses postgresql.parameters: {'; '.join(reasons) or answer.stderr.strip()}"
