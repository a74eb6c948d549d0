"""Clusters for Python programs and tests: ``with holdfast.cluster("patroni") as c``.

Plain functions and context managers over the asynchronous parts of the house, which run in a thread of their own
(``runner``); there is no second implementation of anything. docs/testing-your-application.md shows its use.
"""

from holdfast.api.base import Cluster, Limits
from holdfast.api.found import FoundCluster
from holdfast.api.make import cluster
from holdfast.api.own import Injected, OwnCluster
from holdfast.api.recording import Recorded, Recording

__all__ = [
    "Cluster",
    "FoundCluster",
    "Injected",
    "Limits",
    "OwnCluster",
    "Recorded",
    "Recording",
    "cluster",
]
