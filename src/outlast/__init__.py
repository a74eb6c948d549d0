"""Proves that a database cluster survives.

    with outlast.cluster("patroni", nodes=3, sync="on") as c:
        ...

    outlast.check("history.edn", model="register").verdict

What this package offers to Python programs is in ``outlast.api`` and, for histories, in ``outlast.checkers.offline``.
It is imported when it is first asked for, so that ``import outlast`` costs next to nothing.
"""

from importlib import import_module

__version__ = "0.2.0"

_OFFERED = {
    "check": "outlast.checkers.offline",
    "Checked": "outlast.checkers.offline",
    "Evidence": "outlast.checkers.base",
    "Finding": "outlast.checkers.base",
    "Verdict": "outlast.checkers.base",
    "cluster": "outlast.api",
    "Cluster": "outlast.api",
    "Injected": "outlast.api",
    "Limits": "outlast.api",
    "OwnCluster": "outlast.api",
    "Recorded": "outlast.api",
    "Recording": "outlast.api",
    "OutlastError": "outlast.errors",
}


def __getattr__(name: str) -> object:
    if name not in _OFFERED:
        raise AttributeError(f"module 'outlast' has no attribute {name!r}")
    return getattr(import_module(_OFFERED[name]), name)


def __dir__() -> list[str]:
    return sorted(("__version__", *_OFFERED))
