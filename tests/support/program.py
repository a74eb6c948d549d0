"""Runs the outlast program as a person would, from outside; as the ordinary user too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from outlast.pace import scaled

ORDINARY = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
"""Root becomes a user without any privilege over the machine: euid 1000 in a user namespace of its own."""

USERS = ["root", "ordinary"] if os.geteuid() == 0 else ["ordinary"]


@dataclass(frozen=True)
class Done:
    """How a run of the program ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def command(*words: str, user: str | None = None) -> list[str]:
    prefix = ORDINARY if user == "ordinary" and os.geteuid() == 0 else []
    return [*prefix, sys.executable, "-m", "outlast.cli.main", *words]


def outlast(*words: str, user: str | None = None, timeout_s: float = 120) -> Done:
    done = subprocess.run(
        command(*words, user=user), capture_output=True, text=True, timeout=scaled(timeout_s), check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)
