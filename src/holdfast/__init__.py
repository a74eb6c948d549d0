"""Proves that a database cluster survives.

    with holdfast.cluster("patroni", nodes=3, sync="on") as c:
        ...

What this package offers to Python programs is in ``holdfast.api``; it is imported when it is first asked for, so that
``import holdfast`` costs next to nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

_OFFERED = {
    "cluster": "holdfast.cluster",  # the package itself, which can be called: see there
    "Cluster": "holdfast.api",
    "Injected": "holdfast.api",
    "Limits": "holdfast.api",
    "OwnCluster": "holdfast.api",
    "Recorded": "holdfast.api",
    "Recording": "holdfast.api",
    "HoldfastError": "holdfast.errors",
}


def __getattr__(name: str) -> object:
    if name not in _OFFERED:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    module = import_module(_OFFERED[name])
    return module if name == "cluster" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(("__version__", *_OFFERED))
