"""Passwords, generated for each lab, kept in files that only their owner can read."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from outlast.errors import HostError

FILE: Final = "credentials.json"
PASSFILE: Final = "pgpass"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A lab's generated passwords, by user. Never printed but by ``outlast credentials``."""

    passwords: Mapping[str, str] = field(repr=False)
    passfile: Path

    def password(self, user: str) -> str:
        """Return a user's password. Raises KeyError."""
        return self.passwords[user]


def choose(folder: Path, passwords: Mapping[str, str]) -> None:
    """Keep a person's own passwords, by user, for the generate of a lab in folder that is still to be deployed."""
    _write(folder / FILE, json.dumps(dict(passwords)))


def generate(folder: Path, users: Iterable[str]) -> Credentials:
    """Make a password for each user that has none yet and write them below folder, mode 0600."""
    chosen = load(folder).passwords if (folder / FILE).exists() else {}
    passwords = {user: chosen.get(user) or secrets.token_urlsafe(18) for user in users}
    _write(folder / FILE, json.dumps(passwords))
    _write(
        folder / PASSFILE,
        "".join(f"*:*:*:{_escaped(user)}:{_escaped(word)}\n" for user, word in passwords.items()),
    )
    return Credentials(passwords, folder / PASSFILE)


def load(folder: Path) -> Credentials:
    """Read what generate wrote. Raises HostError when there is nothing to read."""
    try:
        return Credentials(json.loads((folder / FILE).read_text()), folder / PASSFILE)
    except (OSError, ValueError) as error:
        raise HostError(f"the credentials in {folder} cannot be read: {error}") from error


def _escaped(text: str) -> str:
    """Return a field of a libpq password file."""
    return text.replace("\\", "\\\\").replace(":", "\\:")


def _write(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
