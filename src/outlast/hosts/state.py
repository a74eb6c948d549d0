"""Where Outlast keeps what it makes: one state folder, one cache folder, nothing else.

    STATE/labs/<lab>/    a lab that is up: its hosts' files, sockets, specification; removed with it
    STATE/runs/<run>/    a stored run; kept until a person deletes it
    CACHE/               what can be made again: database seeds

A lab's folder is made before anything else of the lab and removed after everything else, so whatever is
left of a lab can be found from it: it is the journal of what was made.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from outlast.clock import timestamp
from outlast.errors import UnavailableError


def _base(variable: str, xdg: str, default: str) -> Path:
    chosen = os.environ.get(variable)
    if chosen:
        return Path(chosen).absolute()
    return default_folder(xdg, default, "outlast")


def default_folder(xdg: str, default: str, name: str) -> Path:
    """Return the folder name in the place that the variable xdg names, else in default below the home folder.

    Source: XDG Base Directory Specification.
    """
    root = os.environ.get(xdg)
    return (Path(root) if root else Path.home() / default) / name


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UnavailableError(
            f"cannot make the folder {folder}: {error.strerror}",
            hint="set OUTLAST_STATE (and OUTLAST_CACHE) to a folder you may write to",
        ) from error
    return folder


def state_folder() -> Path:
    """Return $OUTLAST_STATE, else $XDG_STATE_HOME/outlast, else ~/.local/state/outlast."""
    return _made(_base("OUTLAST_STATE", "XDG_STATE_HOME", ".local/state"))


def cache_folder() -> Path:
    """Return $OUTLAST_CACHE, else $XDG_CACHE_HOME/outlast, else ~/.cache/outlast."""
    return _made(_base("OUTLAST_CACHE", "XDG_CACHE_HOME", ".cache"))


def labs_folder() -> Path:
    """Return the folder that holds a folder for each lab."""
    return _made(state_folder() / "labs")


def runs_folder() -> Path:
    """Return the folder that holds a folder for each stored run."""
    return _made(state_folder() / "runs")


def new_run_folder(name: str) -> Path:
    """Make and return a folder for a run: its time, its name, and a few letters against collisions."""
    folder = runs_folder() / f"{timestamp()}-{name}-{secrets.token_hex(2)}"
    folder.mkdir(mode=0o700)
    return folder
