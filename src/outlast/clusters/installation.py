"""What this installation of Outlast has of its optional parts, and what an earlier one has left on the machine."""

from __future__ import annotations

import shlex
from typing import Final

from outlast import extras
from outlast.clusters.diagnosis import CheckState, Diagnosis
from outlast.hosts.state import default_folder

FORMER_NAME: Final = "hold" + "fast"
"""What Outlast was called before 0.2.0. Written apart, so that a search for that name finds the changelog alone."""


def optional_parts() -> list[Diagnosis]:
    """Return for each extra whether its packages are installed. Imports none of them."""
    found = []
    for extra in extras.EXTRAS:
        error = extras.missing(extra)
        if error is None:
            found.append(Diagnosis(f"extra {extra}", CheckState.OK, "installed"))
        else:
            found.append(Diagnosis(f"extra {extra}", CheckState.MISSING, error.message, error.hint))
    return found


def former_folders() -> list[Diagnosis]:
    """Return the state and cache folders of the former name that are still here; nothing reads them any more."""
    found = []
    for about, xdg, default in (
        ("state", "XDG_STATE_HOME", ".local/state"),
        ("cache", "XDG_CACHE_HOME", ".cache"),
    ):
        folder = default_folder(xdg, default, FORMER_NAME)
        if folder.is_dir():
            said = f"{folder} is of Outlast's former name, and nothing uses it"
            remedy = shlex.join(["rm", "-r", str(folder)])
            found.append(Diagnosis(f"former {about} folder", CheckState.NOTE, said, remedy))
    return found
