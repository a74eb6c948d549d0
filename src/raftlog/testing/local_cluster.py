"""A cluster of real processes on loopback, for tests, benchmarks and demonstrations.

Every process is ended by its pid; every wait is for a predicate and has a deadline.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

from raftlog.errors import RaftlogError


class WaitTimeout(RaftlogError):
    """A condition did not come true in time; the message says which, and what was seen last."""


def free_ports(count: int) -> list[int]:
    """Return ports on 127.0.0.1 that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for reserved in sockets:
            reserved.bind(("127.0.0.1", 0))
        return [reserved.getsockname()[1] for reserved in sockets]
    finally:
        for reserved in sockets:
            reserved.close()


PACE: Final = float(os.environ.get("RAFTLOG_PACE", "1"))
"""By how much every wait's bound is multiplied, on a machine that is slow or busy."""


def wait_for(what: str, look: Callable[[], Any], timeout_s: float = 20.0, pause_s: float = 0.02) -> Any:
    """Return what look() returns once it is true. Raises WaitTimeout with what it returned or raised last."""
    timeout_s *= PACE
    end = time.monotonic() + timeout_s
    last: object = None
    while time.monotonic() < end:
        try:
            last = look()
        except OSError as error:
            last = error
        else:
            if last:
                return last
        time.sleep(pause_s)
    raise WaitTimeout(f"{what}: not within {timeout_s} s; seen last: {last!r}")


@dataclass(slots=True)
class NodeProcess:
    """One node. folder: its config, data and log."""

    id: int
    folder: Path
    kafka: str
    peer: str
    admin: str
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it; its output goes to node.log."""
        with (self.folder / "node.log").open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "raftlog", "serve", "--config", str(self.folder / "node.toml")],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **self.environment},
            )

    def send_signal(self, number: int) -> None:
        """Send a signal to its process."""
        if self.running and self.process is not None:
            os.kill(self.process.pid, number)

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 15.0) -> int | None:
        """End it with a signal and wait; return its exit code. SIGKILL follows when it does not end in time."""
        if self.process is None:
            return None
        self.send_signal(number)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.send_signal(signal.SIGKILL)
            return self.process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL."""
        self.stop(signal.SIGKILL)

    def ask(
        self, method: str, path: str, body: bytes | None = None, timeout_s: float = 5.0
    ) -> tuple[int, bytes]:
        """Ask its admin port; return status and body. Raises OSError."""
        host, _, port = self.admin.rpartition(":")
        connection = HTTPConnection(host, int(port), timeout=timeout_s)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        """Return its status. Raises OSError when it does not answer."""
        code, body = self.ask("GET", "/status")
        if code != 200:
            raise OSError(f"status {code}")
        status: dict[str, Any] = json.loads(body)
        return status

    def log(self) -> str:
        """Return what it has written to its log."""
        return (self.folder / "node.log").read_text(errors="replace")


class LocalCluster:
    """Nodes on loopback. folder: everything lies below it. settings: TOML text added to every config file.

    Use it as a context manager: leaving it kills what still runs.
    """

    def __init__(
        self,
        folder: Path,
        nodes: int = 3,
        *,
        profile: str = "tuned",
        settings: str = "",
        top: str = "",
        environment: Mapping[str, str] | None = None,
        founders: int | None = None,
    ) -> None:
        self.folder = folder
        ports = iter(free_ports(3 * nodes))
        self.nodes: dict[int, NodeProcess] = {}
        for number in range(1, nodes + 1):
            kafka, peer, admin = (f"127.0.0.1:{next(ports)}" for _ in range(3))
            place = folder / f"node{number}"
            place.mkdir(parents=True, exist_ok=True)
            self.nodes[number] = NodeProcess(number, place, kafka, peer, admin, environment or {})
        first = range(1, (founders or nodes) + 1)
        for number in self.nodes:
            known = [*first] if number in first else [*first, number]
            self._write_config(number, known, profile, top, settings, join=number not in first)

    def _write_config(
        self, number: int, known: Iterable[int], profile: str, top: str, settings: str, *, join: bool
    ) -> None:
        lines = [
            'cluster = "local"',
            f"node_id = {number}",
            'data_dir = "data"',
            f'profile = "{profile}"',
            f"join = {str(join).lower()}",
            top,
        ]
        for peer in known:
            node = self.nodes[peer]
            lines += [
                "[[peers]]",
                f"id = {peer}",
                f'kafka = "{node.kafka}"',
                f'peer = "{node.peer}"',
                f'admin = "{node.admin}"',
            ]
        lines.append(settings)
        (self.nodes[number].folder / "node.toml").write_text("\n".join(lines) + "\n")

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes.values():
            node.kill()

    def start(self, *numbers: int) -> LocalCluster:
        """Start the numbered nodes, all when none is named; those that run are left alone."""
        for number in numbers or tuple(self.nodes):
            if not self.nodes[number].running:
                self.nodes[number].start()
        return self

    @property
    def bootstrap(self) -> str:
        """What a Kafka client is given."""
        return ",".join(node.kafka for node in self.nodes.values())

    def leader(self, timeout_s: float = 20.0) -> NodeProcess:
        """Return the node that leads the highest term, once there is one and its followers agree."""

        seen: list[tuple[NodeProcess, dict[str, Any]]] = []

        def look() -> NodeProcess | None:
            seen.clear()
            for node in self.nodes.values():
                if node.running:
                    with contextlib.suppress(OSError):
                        seen.append((node, node.status()))
            leaders = [(state["term"], node) for node, state in seen if state["role"] == "leader"]
            if not leaders:
                return None
            term, leader = max(leaders, key=lambda pair: pair[0])
            follow = sum(state["leader"] == leader.id and state["term"] == term for _, state in seen)
            return leader if follow * 2 > len(seen) else None

        try:
            agreed: NodeProcess = wait_for("a leader", look, timeout_s)
        except WaitTimeout as error:
            keys = ("role", "term", "leader", "commit_index", "applied_index", "last_index", "voters")
            states = {node.id: [state[key] for key in keys] for node, state in seen}
            raise WaitTimeout(f"{error.message}; {keys} by node: {states}") from None
        return agreed

    def followers(self) -> list[NodeProcess]:
        """Return the running nodes that do not lead."""
        leader = self.leader()
        return [node for node in self.nodes.values() if node.running and node is not leader]

    def wait_equal(self, timeout_s: float = 20.0) -> list[dict[str, Any]]:
        """Wait until all running nodes hold the same messages; return their statuses."""

        def look() -> list[dict[str, Any]] | None:
            states = [node.status() for node in self.nodes.values() if node.running]
            applied = {state["applied_index"] for state in states}
            contents = {json.dumps(state["partitions"]) for state in states}
            return states if len(applied) == len(contents) == 1 else None

        states: list[dict[str, Any]] = wait_for("all nodes to hold the same messages", look, timeout_s)
        return states
