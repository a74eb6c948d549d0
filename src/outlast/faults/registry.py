"""All faults, by name: whatever the modules of this package list as ``FAULTS``. A new fault is one file."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import outlast.faults as package
from outlast.errors import ConfigError, HarnessError
from outlast.faults.base import Fault


@cache
def _all() -> dict[str, Fault]:
    found: dict[str, Fault] = {}
    for module in iter_modules(package.__path__):
        for kind in getattr(import_module(f"{package.__name__}.{module.name}"), "FAULTS", ()):
            if kind.name in found:
                raise HarnessError(f"two faults are called {kind.name}; the second is in {module.name}")
            found[kind.name] = kind
    return dict(sorted(found.items()))


def faults() -> tuple[Fault, ...]:
    """Return all faults, by name."""
    return tuple(_all().values())


def fault(name: str) -> Fault:
    """Return a fault by name. Raises ConfigError naming those there are."""
    if name not in _all():
        raise ConfigError(f"there is no fault {name}", hint=f"choose one of: {', '.join(_all())}")
    return _all()[name]
