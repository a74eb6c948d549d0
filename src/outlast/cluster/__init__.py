"""A cluster from its start to its removal, observed and examined.

This package can be called: ``outlast.cluster("patroni")`` is ``outlast.api.cluster("patroni")``. An attribute of a
package and a submodule of the same name are one thing in Python, whoever is imported last; so it is both on purpose.
"""

import sys
from importlib import import_module
from types import ModuleType


class _Callable(ModuleType):
    def __call__(self, *args: object, **settings: object) -> object:
        """Do as ``outlast.api.cluster`` does. By name: nothing in this room may import what is above it."""
        return import_module("outlast.api").cluster(*args, **settings)


sys.modules[__name__].__class__ = _Callable
