"""Probes between hosts: sockets of ours in two hosts' namespaces, in a child of the wires process."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from holdfast.hosts.netns import wire
from holdfast.hosts.netns.server import answer
from holdfast.hosts.netns.workers import run_in_child
from holdfast.net import probe


class End(Protocol):
    """A host at one end of a probe."""

    @property
    def address(self) -> str:
        """Its address."""
        ...

    @property
    def process(self) -> int:
        """Its init as a pidfd."""
        ...

    def network(self) -> AbstractContextManager[None]:
        """Be in its network namespace for a while."""
        ...


def measure(message: wire.Message, source: End, destination: End) -> wire.Message:
    """Carry out the probe that a message asks for. Raises OSError when a host is off, ValueError for nonsense."""
    stream = message["kind"] == "converse"
    kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
    with destination.network(), socket.socket(socket.AF_INET, kind) as far:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        far.bind((destination.address, int(str(message.get("port", 0)))))
        if stream:
            far.listen(1)
        errors = probe.checksum_errors()
        with source.network(), socket.socket(socket.AF_INET, kind) as near:
            near.bind((source.address, 0))
            found = _carry_out(message, near, far)
        return {**found, "corrupted": probe.checksum_errors() - errors}


def _carry_out(message: wire.Message, near: socket.socket, far: socket.socket) -> wire.Message:
    def number(key: str) -> float:
        return float(str(message[key]))

    match message["kind"]:
        case "datagrams":
            plan = probe.Plan(
                int(number("count")),
                int(number("interval_ms") * 1e6),
                int(number("patience_ms") * 1e6),
                int(number("size_bytes")),
            )
            return probe.measure(near, far, plan)
        case "rate":
            return probe.measure_rate(near, far, int(number("duration_ms") * 1e6))
        case "converse":
            return probe.converse(near, far, int(number("patience_ms") * 1e6))
        case other:
            raise ValueError(f"no such probe: {other!r}")


def in_child(
    work: Callable[[], wire.Message], caller: socket.socket, keep: tuple[int, ...] = ()
) -> None:
    """Fork a process that does work, answers the caller and ends."""
    if os.fork():
        return

    def reply() -> None:
        try:
            said = work()
        except (OSError, ValueError, KeyError) as error:
            said = {"error": str(error)}
        answer(caller, said)

    run_in_child(reply, (caller.fileno(), *keep))
