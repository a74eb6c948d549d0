"""Clusters for Python programs and tests: ``with outlast.cluster("patroni") as c``.

Plain functions and context managers over the asynchronous parts of the house, which run in a thread of their own
(``loop_thread``); there is no second implementation of anything. docs/testing-your-application.md shows its use.
"""

from outlast.api.base import ClusterHandle as Cluster
from outlast.api.base import Limits
from outlast.api.dsn_cluster import DsnCluster
from outlast.api.factory import cluster
from outlast.api.lab_cluster import Injected, OwnCluster
from outlast.api.recording import Recorded, Recording

__all__ = [
    "Cluster",
    "DsnCluster",
    "Injected",
    "Limits",
    "OwnCluster",
    "Recorded",
    "Recording",
    "cluster",
]
