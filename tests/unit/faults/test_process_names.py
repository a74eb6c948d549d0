"""A fault may say ``manager`` and mean whatever manages the server on a node."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from outlast.config import load_cluster
from outlast.errors import ConfigError
from outlast.faults.process_signal import process_name
from outlast.hosts.base import Lab
from outlast.systems.base import Cluster
from outlast.systems.credentials import Credentials
from outlast.systems.patroni.cluster import PatroniCluster
from outlast.systems.pg_auto_failover.cluster import PgAutoFailoverCluster


def made(system: str) -> Cluster:
    kind = PatroniCluster if system == "patroni" else PgAutoFailoverCluster
    return kind(cast(Lab, None), load_cluster(system), Credentials({}, Path()))


@pytest.mark.parametrize(
    ("system", "node", "manager"),
    [("patroni", "pg-node-1", "patroni"), ("pg_auto_failover", "postgres-primary", "pg_autoctl")],
)
def test_manager_means_the_nodes_own(system: str, node: str, manager: str) -> None:
    assert process_name(made(system), node, "manager") == manager
    assert process_name(made(system), node, "postgres") == "postgres"


def test_another_systems_manager_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="has no process patroni"):
        process_name(made("pg_auto_failover"), "postgres-primary", "patroni")
