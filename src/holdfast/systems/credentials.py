"""Passwords, generated for each lab, kept in files that only their owner can read."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from holdfast.errors import HostError
from holdfast.systems.base import Credentials

FILE: Final = "credentials.json"
PASSFILE: Final = "pgpass"


def generate(folder: Path, users: Iterable[str]) -> Credentials:
    """Make a password for each user and write them below folder, mode 0600."""
    passwords = {user: secrets.token_urlsafe(18) for user in users}
    _write(folder / FILE, json.dumps(passwords))
    _write(folder / PASSFILE, "".join(f"*:*:*:{user}:{word}\n" for user, word in passwords.items()))
    return Credentials(passwords, folder / PASSFILE)


def load(folder: Path) -> Credentials:
    """Read what generate wrote. Raises HostError when there is nothing to read."""
    try:
        return Credentials(json.loads((folder / FILE).read_text()), folder / PASSFILE)
    except (OSError, ValueError) as error:
        raise HostError(f"the credentials in {folder} cannot be read: {error}") from error


def _write(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
