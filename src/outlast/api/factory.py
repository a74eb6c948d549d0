"""The way in: ``cluster("patroni", nodes=3)``."""

from __future__ import annotations

import json
import secrets
from typing import Final

from outlast.api.base import Limits
from outlast.api.dsn_cluster import DsnCluster
from outlast.api.lab_cluster import OwnCluster
from outlast.clusters import lifecycle
from outlast.config import load_cluster
from outlast.errors import ConfigError
from outlast.routes.registry import with_route

NAME_BYTES: Final = 3
STEM_MAX: Final = 30


def cluster(
    what: str = "patroni",
    *,
    lab: str | None = None,
    dsn: str | None = None,
    name: str | None = None,
    route: str | None = None,
    keep: bool = False,
    limits: Limits | None = None,
    **settings: object,
) -> OwnCluster | DsnCluster:
    """Return a cluster as a context manager: it is there inside the ``with`` block.

    what: a preset (``patroni``, ``pg_auto_failover``, …) or a cluster file. settings: any key of one (``nodes=3``,
    ``sync="on"``, ``profile="fast"``, …: ``outlast ls settings``). route: add the balancer or pooler that it leads
    through. name: of the lab; unique without. keep: leave the lab up afterwards.
    lab: no new cluster, but that of a lab that is up; it is left up. dsn: no lab at all, but a PostgreSQL cluster of
    somebody's, at which is only looked.

    A lab ends with the block and, at the latest, with the process, however that ends. Raises ConfigError for settings
    that make no sense, at once; entering raises UnavailableError where no lab can be made, and ClusterError.
    """
    limits = limits or Limits()
    if (lab is not None or dsn is not None) and (settings or route or (lab and dsn)):
        words = ", ".join(
            (*settings, *(["route"] if route else []), *(["lab and dsn"] if lab and dsn else []))
        )
        raise ConfigError(f"{words}: cannot be set for a cluster that is already up")
    if dsn is not None:
        return DsnCluster(dsn, limits)
    if lab is not None:
        return OwnCluster(None, lab, limits, keep=True)
    texts = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    # Free ports: several test runs may be up at once.
    spec = with_route(load_cluster(what, ["ports={}", *texts]), route)
    unique = f"{spec.name[:STEM_MAX]}-{secrets.token_hex(NAME_BYTES)}"
    lifecycle.lab_folder(name or unique)  # refuses a name that can't be one
    return OwnCluster(spec, name or unique, limits, keep=keep)
