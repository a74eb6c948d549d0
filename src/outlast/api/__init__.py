"""Clusters for Python programs and tests: ``with outlast.cluster("patroni") as c``.

Plain functions and context managers over the asynchronous parts of the house, which run in a thread of their own
(``runner``); there is no second implementation of anything. docs/testing-your-application.md shows its use.
"""

from outlast.api.base import Cluster, Limits
from outlast.api.found import FoundCluster
from outlast.api.make import cluster
from outlast.api.own import Injected, OwnCluster
from outlast.api.recording import Recorded, Recording

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
