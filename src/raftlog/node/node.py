"""A whole node: finds its state on disk, joins its peers, serves clients, and stops cleanly or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import logging
import os
import random
import secrets
import time
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID, uuid4

from raftlog.config import NodeConfig
from raftlog.core.config_change import Change, ConfigChange, Op
from raftlog.core.rawnode import RawNode
from raftlog.core.settings import Settings
from raftlog.core.types import (
    EntryKind,
    Membership,
    Message,
    ProgressState,
    ProposalDropped,
    SnapshotPoint,
)
from raftlog.errors import ConfigError, ProtocolError, RaftlogError, StorageError
from raftlog.node.peers import InboundPeer, Peers
from raftlog.node.ready_loop import UNKNOWN, Answer, ReadyLoop
from raftlog.peer_protocol import FrameKind
from raftlog.snapshot.bucket import Bucket, Uploader
from raftlog.snapshot.files import Snapshot, SnapshotFolder
from raftlog.snapshot.snapshotter import Snapshotter
from raftlog.snapshot.transfer import SnapshotFetcher, SnapshotServer
from raftlog.store.commands import Outcome
from raftlog.store.state_machine import StateMachine
from raftlog.wal.wal import Wal, storage_error, sync_folder

log = logging.getLogger("raftlog")

FORMAT: Final = 1
_SNAPSHOT_PATIENCE_S: Final = 60.0
_FIRST: Final = 1
"""The index of the snapshot that every founding node begins with: the first membership."""


class Node:
    """One node. start() once, then wait on stopped, then stop(). unsafe_no_sync: only for tests that lose messages."""

    def __init__(self, config: NodeConfig, *, unsafe_no_sync: bool = False) -> None:
        self.config = config
        self.stopped = asyncio.Event()
        self.failure: RaftlogError | None = None
        self.started_at = time.time()
        self.machine = StateMachine(config.data_dir / "topics")
        self.snapshots: SnapshotFolder
        self.wal: Wal
        self.ready_loop: ReadyLoop
        self.snapshotter: Snapshotter
        self.snapshot_fetcher: SnapshotFetcher
        self.peers: Peers
        self.uploader: Uploader | None = None
        self.recovery_s = 0.0
        self._sync = not unsafe_no_sync
        self._lock = -1
        self._ticker: asyncio.TimerHandle | None = None
        self._tick_s = config.tick("tick_ms") / 1000
        self._next_tick = 0.0
        self._snapshot_since: dict[int, float] = {}

    # --- starting -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover and join. Raises RaftlogError with what a person must do."""
        begun = time.perf_counter()
        config = self.config
        try:
            config.data_dir.mkdir(parents=True, exist_ok=True)
            store = self._open_store()
        except OSError as error:
            raise storage_error(f"cannot use {config.data_dir}", error) from error
        self.snapshots = SnapshotFolder(
            config.data_dir / "snapshots",
            keep=config.snapshot.retention_count,
            codec=config.snapshot.compression,
        )
        newest = self._recover_snapshot()
        self.wal = Wal(
            config.data_dir / "wal",
            store=store,
            node=config.node_id,
            point=newest.point,
            sync=self._sync,
        )
        if self.wal.torn_bytes:
            log.info(
                "removed a torn tail of %d bytes; nothing in it was ever acknowledged", self.wal.torn_bytes
            )
        identity = {
            "cluster": config.cluster,
            "node": config.node_id,
            "store": str(store),
            "format": FORMAT,
        }
        self.peers = Peers(identity)
        self.ready_loop = ReadyLoop(
            self._core(newest.point.index),
            self.wal,
            self.machine,
            self.peers,
            restored=newest.point,
            install=self._install,
            fail=self._fail,
        )
        self._wire_up(newest)
        await self.peers.start(config.own.peer)
        self._know_peers()
        self._next_tick = asyncio.get_running_loop().time()
        self._tick()
        self.recovery_s = time.perf_counter() - begun
        log.info(
            "node %d of %s: term %d, log [%d, %d], recovered in %.3f s",
            config.node_id,
            config.cluster,
            self.wal.hard.term,
            self.wal.first_index,
            self.wal.last_index,
            self.recovery_s,
        )

    def _core(self, applied: int) -> RawNode:
        config = self.config
        return RawNode(
            Settings(
                config.node_id,
                self.wal,
                random.Random(secrets.randbits(64)),
                election_ticks=config.tick("election_ticks"),
                heartbeat_ticks=config.tick("heartbeat_ticks"),
                append_bytes_max=512 << 10,
                inflight_max=256,
                # What is under way to a follower is what it must work through before it hears of anything
                # else.
                inflight_bytes_max=4 << 20,
                uncommitted_bytes_max=128 << 20,
                applying_bytes_max=4 << 20,
                applied=applied,
                eager_commit=False,
            )
        )

    def _wire_up(self, newest: Snapshot) -> None:
        settings, peers = self.config.snapshot, self.peers
        if self.config.object_store.backend == "s3":
            bucket = Bucket(self.config.object_store, settings.compression)
            self.uploader = Uploader(bucket, self.machine.folder, settings.retention_count)
        self.snapshotter = Snapshotter(
            self.ready_loop,
            self.snapshots,
            settings,
            newest=newest.point,
            fail=self._fail,
            saved=self._saved,
        )
        incoming = self.config.data_dir / "incoming"
        self.snapshot_fetcher = SnapshotFetcher(
            peers, self.machine, incoming, settings.compression, self._snapshot_fetched
        )
        server = SnapshotServer(self.snapshots, self.machine, settings.compression, settings.max_concurrent)

        def other(inbound: InboundPeer, kind: FrameKind, body: bytes) -> None:
            if kind == FrameKind.PULL:
                server.pull(inbound, body)
            elif kind == FrameKind.FAILED and inbound.hello is not None:
                self._snapshot_lost(int(inbound.hello["node"]))
            else:
                raise ProtocolError(f"unexpected frame {kind.name}")

        peers.receive = self.ready_loop.receive
        peers.snapshot_offered = self.snapshot_fetcher.offered
        peers.other_frame = other
        peers.unreachable = self._unreachable

    def _open_store(self) -> UUID:
        """Lock the data folder and return its id; a new folder is given one. Raises ConfigError for a foreign one."""
        config = self.config
        self._lock = os.open(config.data_dir / "LOCK", os.O_CREAT | os.O_RDWR, 0o640)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise ConfigError(f"{config.data_dir} is in use by another process") from error
            raise
        path = config.data_dir / "store.json"
        if path.exists():
            try:
                raw = json.loads(path.read_text())
                owner = (raw["cluster"], raw["node"], raw["format"])
                store = UUID(raw["store"])
            except (ValueError, KeyError, TypeError) as error:
                raise StorageError(f"{path} is not valid: {error}") from error
            if owner != (config.cluster, config.node_id, FORMAT):
                raise ConfigError(
                    f"{config.data_dir} belongs to node {owner[1]} of cluster {owner[0]!r} "
                    f"(format {owner[2]}), not to node {config.node_id} of {config.cluster!r}",
                    hint="give each node its own data folder",
                )
            return store
        store = uuid4()
        temporary = path.with_suffix(".tmp")
        fields = {"cluster": config.cluster, "node": config.node_id, "store": str(store), "format": FORMAT}
        temporary.write_text(json.dumps(fields))
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.rename(path)
        sync_folder(config.data_dir)
        return store

    def _recover_snapshot(self) -> Snapshot:
        newest = self.snapshots.newest()
        if newest is None:
            founders = () if self.config.join else tuple(sorted(peer.id for peer in self.config.peers))
            if not founders:
                return Snapshot(SnapshotPoint(), self.machine.state())
            point = SnapshotPoint(_FIRST, 1, Membership(voters=founders))
            newest = Snapshot(point, self.machine.state())
            self.snapshots.save(newest)
        try:
            self.machine.restore(newest.state)
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(f"the snapshot at {newest.point.index} is not valid: {error}") from error
        return newest

    # --- running ------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        # Late ticks are not made up for: a node that was frozen must not think that its leader was silent.
        self._next_tick = max(self._next_tick + self._tick_s, now + self._tick_s / 2)
        self._ticker = loop.call_at(self._next_tick, self._tick)
        if self.ready_loop.stopped:
            return
        self.ready_loop.tick()
        if not self.ready_loop.stopped:
            try:
                self.machine.flush()
            except RaftlogError as error:
                self._fail(error)
            self.snapshotter.tick()
            self._watch_snapshots()
            self._know_peers()

    def _watch_snapshots(self) -> None:
        """Report a snapshot as lost that a follower has not answered for long, so that it is sent again."""
        now = time.monotonic()
        core = self.ready_loop.core
        if not core.leads:
            self._snapshot_since.clear()
            return
        for node, progress in core.progress().items():
            if progress.state != ProgressState.SNAPSHOT:
                self._snapshot_since.pop(node, None)
            elif now - self._snapshot_since.setdefault(node, now) > _SNAPSHOT_PATIENCE_S:
                self._snapshot_lost(node)

    def _snapshot_lost(self, node: int) -> None:
        self._snapshot_since.pop(node, None)
        self.ready_loop.core.report_snapshot(node, sent=False)

    def _unreachable(self, node: int) -> None:
        self.ready_loop.core.report_unreachable(node)
        progress = self.ready_loop.core.progress().get(node)
        link = self.peers.links.get(node)
        if (
            progress is not None
            and progress.state == ProgressState.SNAPSHOT
            and not (link and link.connected)
        ):
            self._snapshot_lost(node)

    def leads(self) -> bool:
        """Whether this node leads."""
        return self.ready_loop.core.leads

    def addresses(self) -> dict[int, dict[str, Any]]:
        """Return where each member is found: what add-node was told, else what the config file says."""
        configured = {
            peer.id: peer.model_dump(include={"kafka", "peer", "admin", "published"})
            for peer in self.config.peers
        }
        members = self.ready_loop.core.membership.nodes
        known = {**configured, **self.machine.addresses}
        return {node: known[node] for node in sorted(members or known) if node in known}

    def _know_peers(self) -> None:
        own = self.config.node_id
        self.peers.know({node: address["peer"] for node, address in self.addresses().items() if node != own})

    def _install(self, point: SnapshotPoint) -> None:
        """Become what a received snapshot says: its files, then the snapshot itself, then the log's new beginning."""
        snapshot = self.snapshot_fetcher.install(self.machine.folder)
        self.machine.restore(snapshot.state)
        self.snapshots.save(snapshot)
        self.wal.install(point)
        self.snapshotter.newest = point
        log.info("installed the snapshot at %d", point.index)

    def _snapshot_fetched(self, message: Message) -> None:
        """Offer the core a snapshot whose messages are here; if it takes it, _install follows at once."""

        def offer() -> None:
            self.ready_loop.receive([message])
            self.snapshot_fetcher.pending = None

        self.ready_loop.between_writes(offer)

    def _saved(self, snapshot: Snapshot) -> None:
        if self.uploader is not None and self.leads():
            self.uploader.offer(snapshot)

    # --- what an operator asks ----------------------------------------------------------------------------

    async def ask(self, start: Callable[[Answer], None], timeout_s: float = 10.0) -> Outcome:
        """Run something that answers once, and wait for it; UNKNOWN when it takes too long."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def answer(outcome: Outcome) -> None:
            if not future.done():
                future.set_result(outcome)

        start(answer)
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            return UNKNOWN

    def forward(self, command: bytes) -> None:
        """Propose a command, here or through the leader, and do not wait; it may be lost."""
        with contextlib.suppress(ProposalDropped):
            self.ready_loop.core.propose(command)
        self.ready_loop.kick()

    async def change_member(
        self, op: Op, node: int, address: dict[str, Any] | None, timeout_s: float = 10.0
    ) -> Outcome:
        """Add, demote or remove one node; done once the change is in force (thesis §4.1)."""
        context = json.dumps(address).encode() if address else b""
        change = ConfigChange((Change(op, node),), context=context)
        return await self.ask(
            lambda answer: self.ready_loop.propose(change.encode(), answer, EntryKind.CONFIG), timeout_s
        )

    # --- stopping -----------------------------------------------------------------------------------------

    def _fail(self, error: RaftlogError) -> None:
        if self.failure is None:
            self.failure = error
            log.critical("node %d is stopping: %s", self.config.node_id, error)
        self.stopped.set()

    async def stop(self) -> None:
        """Hand leadership over where there is someone to take it, then close everything in order."""
        if self.failure is None:
            await self._step_aside()
        if self._ticker is not None:
            self._ticker.cancel()
        self.ready_loop.close()
        await self.peers.close()
        await self.snapshotter.close()
        with contextlib.suppress(RaftlogError):
            self.machine.close()
        self.wal.close()
        os.close(self._lock)
        self.stopped.set()

    async def _step_aside(self, timeout_s: float = 1.0) -> None:
        core = self.ready_loop.core
        if not self.leads():
            return
        others = [
            (progress.match, node)
            for node, progress in core.progress().items()
            if node != core.id and progress.active and not progress.learner
        ]
        if not others:
            return
        core.transfer(max(others)[1])
        self.ready_loop.drive()
        for _ in range(int(timeout_s / self._tick_s) + 1):
            if not self.leads():
                return
            await asyncio.sleep(self._tick_s)
