"""The systems there are, by name: those that a specification may name, each a package in ``systems``."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, get_args

from outlast.config.cluster import System as Name
from outlast.errors import UnavailableError
from outlast.systems.system import System

_NAMES: Final[tuple[str, ...]] = get_args(Name)


def system_names() -> tuple[str, ...]:
    """Return the names of all systems."""
    return _NAMES


def system(name: str) -> System[Any]:
    """Return a system by name: what ``systems/<name>/system.py`` holds as ``SYSTEM``, and no other is imported.

    Raises UnavailableError naming those there are.
    """
    if name not in _NAMES:
        raise UnavailableError(
            f"the system {name} cannot be run by this version", hint=f"choose one of: {', '.join(_NAMES)}"
        )
    found: System[Any] = import_module(f"outlast.systems.{name}.system").SYSTEM
    return found
