"""The one config file: who this node is, where it listens, whom it knows, and how careful and how fast it is.

TOML, checked key by key. The environment overrides the snapshot and object-store keys (names in ENVIRONMENT),
so that a secret or a bucket need not be written into a file. Credentials are never read from here: boto3
finds them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from raftlog.errors import ConfigError

ENVIRONMENT: Final[dict[str, tuple[str, str]]] = {
    "RAFTLOG_SNAPSHOT_ENABLED": ("snapshot", "enabled"),
    "RAFTLOG_SNAPSHOT_LOG_THRESHOLD": ("snapshot", "log_threshold"),
    "RAFTLOG_SNAPSHOT_TIME_THRESHOLD_SECS": ("snapshot", "time_threshold_secs"),
    "RAFTLOG_SNAPSHOT_MAX_CONCURRENT": ("snapshot", "max_concurrent"),
    "RAFTLOG_SNAPSHOT_COMPRESSION": ("snapshot", "compression"),
    "RAFTLOG_SNAPSHOT_RETENTION_COUNT": ("snapshot", "retention_count"),
    "OBJECT_STORE_BACKEND": ("object_store", "backend"),
    "S3_BUCKET": ("object_store", "s3_bucket"),
    "S3_REGION": ("object_store", "s3_region"),
    "S3_PREFIX": ("object_store", "s3_prefix"),
    "S3_ENDPOINT_URL": ("object_store", "s3_endpoint_url"),
}
"""What the environment overrides. Each name also works with RAFTLOG_ before it."""

BYTES_MAX: Final = 256 * 1024
PROFILES: Final = {
    "default": {"tick_ms": 40, "heartbeat_ticks": 1, "election_ticks": 10},
    "tuned": {"tick_ms": 10, "heartbeat_ticks": 2, "election_ticks": 12},
}
"""default: a new leader within 1 s of the old one's death; tuned: within 0.4 s, for a quiet machine and
network."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Address(_Model):
    """Where one node is found, each as host:port. admin serves health, status, metrics and registers over
    HTTP. published: how clients reach its Kafka listener who are elsewhere, behind a forwarded port, and come in
    by kafka.published_listen; "" when there is no such way."""

    kafka: str
    peer: str
    admin: str
    published: str = ""

    @field_validator("kafka", "peer", "admin", "published")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        if value:
            split_address(value)
        return value

    @field_validator("kafka", "peer", "admin")
    @classmethod
    def _is_there(cls, value: str) -> str:
        if not value:
            raise ValueError("must be host:port")
        return value


class Peer(Address):
    """A node of the cluster and its id, which no other node has or had."""

    id: int = Field(ge=1, lt=1 << 31)


class Timing(_Model):
    """Election: no word from a leader for election_ticks to 2 × election_ticks − 1 ticks."""

    tick_ms: int = Field(default=0, ge=0, le=10_000)
    heartbeat_ticks: int = Field(default=0, ge=0, le=100)
    election_ticks: int = Field(default=0, ge=0, le=1_000)


class SnapshotSettings(_Model):
    """When snapshots are taken, how they are packed and how many are kept."""

    enabled: bool = True
    log_threshold: int = Field(default=10_000, ge=1)
    log_bytes_threshold: int = Field(default=128 << 20, ge=1 << 20)
    """Large entries fill a disk long before there are many of them."""
    time_threshold_secs: float = Field(default=300.0, gt=0)
    min_interval_secs: float = Field(default=5.0, ge=0)
    """No two are taken sooner after each other by entries alone: under load, that would be several a
    second."""
    max_concurrent: int = Field(default=2, ge=1, le=16)
    compression: Literal["none", "gzip", "zstd"] = "zstd"
    retention_count: int = Field(default=3, ge=1, le=1_000)
    keep_entries_max: int = Field(default=100_000, ge=0)
    """Entries kept behind a snapshot for followers that are heard from and still need them."""


class ObjectStoreSettings(_Model):
    """Where snapshots are copied to: nowhere, or a bucket."""

    backend: Literal["none", "s3"] = "none"
    s3_bucket: str = ""
    s3_region: str = "us-east-1"
    s3_prefix: str = ""
    s3_endpoint_url: str = ""
    timeout_s: float = Field(default=10.0, gt=0)


class KafkaSettings(_Model):
    """What clients may do. request_bytes_max: larger requests close their connection."""

    auto_create_topics: bool = True
    default_partitions: int = Field(default=1, ge=1, le=256)
    request_bytes_max: int = Field(default=32 << 20, ge=1 << 10, le=100 << 20)
    batch_bytes_max: int = Field(default=8 << 20, ge=1 << 10, le=64 << 20)
    connections_max: int = Field(default=1_000, ge=1)
    produce_timeout_ms_max: int = Field(default=60_000, ge=1)
    follower_fetch: bool = False
    """Whether a follower that hears its leader answers fetches with what it has applied."""
    published_listen: str = ""
    """host:port of a second listener. A client is told the addresses that fit the listener it came in by, as with
    Kafka's advertised.listeners: by this one, each peer's ``published``."""

    @field_validator("published_listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        if value:
            split_address(value)
        return value


class NodeConfig(_Model):
    """Everything one node is told."""

    cluster: str = Field(min_length=1, max_length=100)
    node_id: int = Field(ge=1, lt=1 << 31)
    data_dir: Path
    peers: tuple[Peer, ...] = Field(min_length=1, max_length=100)
    join: bool = False
    """True for a node that is added to a running cluster: it waits to be told the membership."""
    replication_factor: int = Field(default=0, ge=0)
    min_insync: int = Field(default=0, ge=0)
    profile: Literal["default", "tuned"] = "default"
    timing: Timing = Timing()
    snapshot: SnapshotSettings = SnapshotSettings()
    object_store: ObjectStoreSettings = ObjectStoreSettings()
    kafka: KafkaSettings = KafkaSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> NodeConfig:
        ids = [peer.id for peer in self.peers]
        if len(set(ids)) != len(ids):
            raise ValueError("peers: two peers have the same id")
        if self.node_id not in ids:
            raise ValueError(f"peers: this node ({self.node_id}) is not one of them")
        if self.replication_factor not in (0, len(ids)) and not self.join:
            raise ValueError(
                f"replication_factor is {self.replication_factor}, but there are {len(ids)} peers; "
                "every node stores every message, so leave it out or set it to the number of peers"
            )
        if self.min_insync > len(ids):
            raise ValueError(f"min_insync is {self.min_insync}, but there are only {len(ids)} peers")
        if self.kafka.published_listen and not self.own.published:
            raise ValueError("kafka.published_listen requires `published` in this node's [[peers]] entry")
        if self.object_store.backend == "s3" and not self.object_store.s3_bucket:
            raise ValueError('object_store.s3_bucket is required with backend "s3"')
        return self

    @property
    def own(self) -> Peer:
        """This node among the peers."""
        return next(peer for peer in self.peers if peer.id == self.node_id)

    def tick(self, key: Literal["tick_ms", "heartbeat_ticks", "election_ticks"]) -> int:
        """Return a timing value: the one written, else the profile's."""
        return getattr(self.timing, key) or PROFILES[self.profile][key]


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port")
    return host, int(port)


def _text(path: Path) -> str:
    """Return a file's text. Raises ConfigError for what is no file or too long to be a configuration."""
    if path.exists() and not path.is_file():  # a FIFO would block, a device may never end
        raise ConfigError(f"{path} is not a regular file")
    with path.open("rb") as file:
        content = file.read(BYTES_MAX + 1)
    if len(content) > BYTES_MAX:
        raise ConfigError(f"{path} is larger than {BYTES_MAX // 1024} KiB")
    return content.decode("utf-8")


def load(path: Path, environment: Mapping[str, str] = os.environ) -> NodeConfig:
    """Read a config file. Raises ConfigError with file and key. Paths in it are relative to its folder."""
    try:
        raw = tomllib.loads(_text(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    for name, (table, key) in ENVIRONMENT.items():
        value = environment.get(name, environment.get(f"RAFTLOG_{name}"))
        if value is not None:
            raw.setdefault(table, {})[key] = value
    if isinstance(raw.get("data_dir"), str):
        raw["data_dir"] = str(path.parent / raw["data_dir"])
    return parse(raw, str(path))


def parse(raw: dict[str, Any], name: str) -> NodeConfig:
    """Return the NodeConfig that raw describes. Raises ConfigError."""
    try:
        return NodeConfig.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{name}: {place + ': ' if place else ''}{reason}") from error
