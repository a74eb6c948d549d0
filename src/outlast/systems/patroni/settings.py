"""What Patroni is told. Source: Patroni documentation, "YAML Configuration Settings" and "Dynamic
Configuration Settings"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.hosts.base import Host
from outlast.systems.base import OutageModel
from outlast.systems.credentials import Credentials
from outlast.systems.etcd.member import CLIENT_PORT
from outlast.systems.postgres.install import PostgresInstall
from outlast.systems.postgres.seed import SUPERUSER
from outlast.systems.postgres.server import NODE_SETTING, SOCKET_DIR, quote
from outlast.systems.postgres.settings import POSTGRES_PORT, REPLICATOR, listen_addresses, server_parameters

REST_PORT: Final = 8008
REST_USER: Final = "patroni"
SWITCH_TAGS: Final = ("nofailover", "noloadbalance", "clonefrom", "nosync", "nostream")
PRIORITY_TAGS: Final = ("failover_priority", "sync_priority")
FOLLOWING: Final = ("running", "streaming", "in archive recovery")
"""States of a standby in order. Source: Patroni documentation, "Patroni REST API", GET /patroni."""

FAILOVER_MARGIN_S: Final = 5.0
WATCHDOG_MARGIN_S: Final = 5
"""The watchdog fires this long before the leader's key expires: Patroni's own default."""

NODE_CONF: Final = "node.conf"
"""Included by a node's postgresql.conf: its name. As a parameter of Patroni's it would cost each node a reload and a
second's pause at the start, because servers do not list settings like ours in pg_settings, where Patroni looks."""

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class PatroniTiming:
    """Seconds. Patroni holds ttl ≥ 20, loop_wait ≥ 1, retry_timeout ≥ 3, loop_wait + 2 × retry_timeout ≤ ttl."""

    ttl: int
    loop_wait: int
    retry_timeout: int


TIMINGS: Final[Mapping[str, PatroniTiming]] = {
    "default": PatroniTiming(30, 10, 10),
    "fast": PatroniTiming(20, 1, 3),
}

DYNAMIC_KEYS: Final = frozenset(
    (
        "ttl",
        "loop_wait",
        "retry_timeout",
        "maximum_lag_on_failover",
        "maximum_lag_on_syncnode",
        "max_timelines_history",
        "primary_start_timeout",
        "primary_stop_timeout",
        "synchronous_mode",
        "synchronous_mode_strict",
        "synchronous_node_count",
        "failsafe_mode",
        "check_timeline",
        "member_slots_ttl",
        "slots",
        "ignore_slots",
        "standby_cluster",
    )
)
"""Settings that Patroni keeps in the DCS. ``postgresql`` may stand in both places; a node's own file wins."""

BRING_UP_TIMING: Final = TIMINGS["fast"]
"""While a cluster is brought up the loop is short, whatever the profile: less waiting for the next round."""


def outage_model(spec: ClusterSpec) -> OutageModel:
    """Return what the settings promise: the leader's key expires, a round of the loop passes, a promotion."""
    pace = timing(spec)
    return OutageModel(
        pace.ttl + pace.loop_wait + FAILOVER_MARGIN_S,
        f"ttl {pace.ttl} s + loop_wait {pace.loop_wait} s + {FAILOVER_MARGIN_S:g} s",
    )


def timing(spec: ClusterSpec) -> PatroniTiming:
    """Return the timing of a cluster: the person's own ``patroni`` settings over the profile's."""
    profile = asdict(TIMINGS[spec.profile])
    return PatroniTiming(**{key: int(str(spec.patroni.get(key, value))) for key, value in profile.items()})


def illegal_timing(spec: ClusterSpec) -> str:
    """Say what Patroni would silently raise, because then nothing it promises would hold; "" when all is legal."""
    try:
        pace = timing(spec)
    except ValueError:
        return "patroni.ttl, loop_wait and retry_timeout are whole seconds"
    if pace.ttl < 20 or pace.loop_wait < 1 or pace.retry_timeout < 3:
        return f"Patroni wants ttl ≥ 20, loop_wait ≥ 1 and retry_timeout ≥ 3, not {pace}"
    if pace.loop_wait + 2 * pace.retry_timeout > pace.ttl:
        return f"Patroni wants loop_wait + 2 × retry_timeout ≤ ttl, not {pace}"
    return ""


def illegal_tags(spec: ClusterSpec) -> str:
    """Say which tags cannot be followed as written, where Patroni would go on without a word; "" when all can.

    Source: Patroni documentation, "YAML Configuration Settings", Tags.
    """
    names = {node.name for node in spec.nodes}
    for node in spec.nodes:
        for name, value in node.tags.items():
            if name in SWITCH_TAGS and not isinstance(value, bool):
                return f"nodes.{node.name}.tags.{name} is true or false, not {value!r}"
            if name in PRIORITY_TAGS and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                return f"nodes.{node.name}.tags.{name} is a whole number from 0, not {value!r}"
        upstream = node.tags.get("replicatefrom")
        if upstream is not None and (upstream not in names or upstream == node.name):
            others = ", ".join(sorted(names - {node.name}))
            return f"nodes.{node.name}.tags.replicatefrom is no other node: {upstream!r}; there are {others}"
        if node.tags.get("nostream") and not spec.backup:
            return (
                f"nodes.{node.name}.tags.nostream: it would follow from an archive alone, and there is none without "
                "backup=on"
            )
    standbys = [node for node in spec.nodes if node.role != "primary"]
    if spec.sync != "off" and standbys and all(member_tags(node).get("nosync") for node in standbys):
        return f"sync={spec.sync}, and every standby is tagged nosync: no commit could wait for one; sync=off"
    return ""


def node_conf(node: NodeSpec) -> str:
    """Return the file that tells a node's server its name."""
    return f"{NODE_SETTING} = {quote(node.name)}\n"


def dynamic_document(spec: ClusterSpec, pace: PatroniTiming) -> Document:
    """Return the part of the configuration that lives in the DCS, the person's own settings last."""
    parameters = server_parameters(spec)
    parameters.pop("cluster_name")  # Patroni sets it itself, to the scope
    parameters.pop("unix_socket_directories")
    document: Document = {
        "maximum_lag_on_failover": 1048576,
        "synchronous_mode": {"off": False, "on": True, "strict": True, "quorum": "quorum"}[spec.sync],
        "synchronous_mode_strict": spec.sync == "strict",
        "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": parameters},
    }
    own = {key: value for key, value in spec.patroni.items() if key in DYNAMIC_KEYS}
    return {**merge(document, own), **asdict(pace)}


def may_lead(tags: Mapping[str, object]) -> bool:
    """Return whether Patroni would promote a node with these tags. Source: Patroni's Tags.nofailover."""
    said = tags.get("nofailover")
    return not said if said is not None else tags.get("failover_priority") != 0


def member_tags(node: NodeSpec) -> Document:
    """Return the tags of a node: its own, and what its role and its priority come to."""
    tags: Document = dict(node.tags)
    if node.role == "read-only":
        tags = {"nofailover": True, "nosync": True, **tags}
    if node.priority is not None:
        tags.setdefault("failover_priority", node.priority)
        if "nosync" not in tags:  # only a synchronous standby is promoted, so this decides who is to be one
            # 0 forbids a promotion; commits may wait for such a node all the same, last of all.
            tags.setdefault("sync_priority", max(1, node.priority))
    return tags


def member_document(
    spec: ClusterSpec,
    node: NodeSpec,
    install: PostgresInstall,
    credentials: Credentials,
    host: Host,
) -> Document:
    """Return one node's patroni.yml."""
    folder = host.folder
    etcd_hosts = [f"{member.address}:{CLIENT_PORT}" for member in spec.dcs]
    document: Document = {
        "scope": spec.name,
        "name": node.name,
        "log": {"level": "INFO"},
        "restapi": {
            "listen": f"{node.address}:{REST_PORT}",
            "connect_address": f"{node.address}:{REST_PORT}",
            "authentication": {"username": REST_USER, "password": credentials.password(REST_USER)},
        },
        "etcd3": {"hosts": etcd_hosts},
        "bootstrap": {"dcs": dynamic_document(spec, BRING_UP_TIMING)},
        "postgresql": {
            "listen": f"{listen_addresses(node)}:{POSTGRES_PORT}",
            "connect_address": f"{node.address}:{POSTGRES_PORT}",
            "data_dir": str(folder / "data"),
            "bin_dir": str(install.bin_dir),
            "pgpass": str(folder / "patroni.pgpass"),
            "use_unix_socket": True,
            "authentication": {
                "superuser": {"username": SUPERUSER, "password": credentials.password(SUPERUSER)},
                "replication": {"username": REPLICATOR, "password": credentials.password(REPLICATOR)},
            },
            "parameters": {"unix_socket_directories": SOCKET_DIR},
            "custom_conf": str(folder / NODE_CONF),
            "basebackup": [{"checkpoint": "fast"}, *([] if spec.disks else ["no-sync"])],
        },
        "watchdog": watchdog_document(spec, host),
        "tags": member_tags(node),
    }
    own = {key: value for key, value in spec.patroni.items() if key not in DYNAMIC_KEYS}
    return merge(document, own)


def watchdog_pipe(host: Host) -> Path:
    """Return the named pipe that stands for a host's watchdog device."""
    return host.folder / "watchdog"


def watchdog_document(spec: ClusterSpec, host: Host) -> Document:
    """Return the watchdog's settings. ``required``: a node without a working one may not lead."""
    if not spec.watchdog:
        return {"mode": "off"}
    return {
        "mode": "required",
        "driver": "testing",
        "device": str(watchdog_pipe(host)),
        "safety_margin": WATCHDOG_MARGIN_S,
    }


def merge(base: Mapping[str, object], over: Mapping[str, object]) -> Document:
    """Return base with over's values; mappings are merged, everything else is replaced."""
    merged: Document = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = (
            merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
        )
    return merged
