"""Pgpool-II's failover_command and follow_primary_command, which run on the balancer's host.

    failover FAILED NEW_MAIN OLD_PRIMARY    fence the old primary ─▶ choose ─▶ record ─▶ promote
    promote FAILED NEW_MAIN OLD_PRIMARY     promote and no more: what a first script of one's own does
    follow NODE NEW_PRIMARY                 have a node follow, rewound where it must be ─▶ attach it again

Pgpool-II itself only asks for some command that promotes; without the first step, and without a follow that really
stops and rewinds an old primary, two servers take writes. Numbers are backend numbers; argv[1] is the host's folder.
Kept to the standard library and small modules: it starts anew for every call.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

CONFIG: Final = "failover.json"
LOG: Final = "log/failover.log"
CONNECT_TIMEOUT_S: Final = 1.0
STATE_TIMEOUT_S: Final = 4.0
FENCE_TIMEOUT_S: Final = 12.0
PROMOTE_TIMEOUT_S: Final = 40.0
FOLLOW_TIMEOUT_S: Final = 400.0
REPOINT_TIMEOUT_S: Final = 5.0
LOCK_TIMEOUT_S: Final = 30.0
ATTACH_TIMEOUT_S: Final = 15.0
ATTACH_TRIES: Final = 10
UNKNOWN: Final = -1
"""Pgpool-II's number for a primary that it does not know."""


class CommandError(Exception):
    """What could not be done; its text goes to the log."""


@dataclass(frozen=True, slots=True)
class CommandNode:
    """A server as the commands know it. eligible: its standbys that commits may wait for."""

    name: str
    address: str
    candidate: bool
    eligible: tuple[str, ...]


class Commands:
    """One call. folder: the balancer's host's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        config = json.loads((folder / CONFIG).read_text())
        self._token = config["token"]
        self._port = config["port"]
        self._sync = config["sync"]
        self._pcp = config["pcp"]
        self._nodes = {
            int(number): CommandNode(one["name"], one["address"], one["candidate"], tuple(one["eligible"]))
            for number, one in config["nodes"].items()
        }

    def failover(self, failed: int, new_main: int, old_primary: int) -> None:
        """Promote a standby when it is the primary that was lost. Raises CommandError when no choice is safe."""
        from outlast.systems.streaming.leadership import Leadership

        leadership = Leadership(self._folder)
        with (self._folder / "leadership.lock").open("w") as file:
            self._lock(file.fileno())
            record = leadership.read()
            # Unknown: it looked for one while that was dead already, say because a standby was attached just then.
            if old_primary not in (failed, UNKNOWN) or self._nodes[failed].name != record.primary:
                self._standby_lost(failed)
                return
            self._primary_lost(leadership, failed, new_main)

    def _primary_lost(self, leadership: Any, failed: int, new_main: int) -> None:
        from outlast.errors import ClusterError
        from outlast.systems.streaming.leadership import Record
        from outlast.systems.streaming.promotion import choose, synchronous_standby_names

        record = leadership.read()
        old = self._nodes[failed]
        try:
            self._tell(old, {"do": "fence"}, FENCE_TIMEOUT_S)
            say(f"{old.name} is fenced")
        except (CommandError, OSError) as error:
            say(f"{old.name} could not be fenced: {error}; Pgpool leads no client to it")
        others = {number: node for number, node in self._nodes.items() if number != failed}
        held = self._held(list(others.values()))
        order = [node.name for number, node in sorted(others.items(), key=lambda one: one[0] != new_main)]
        candidates = [name for name in order if self._named(name).candidate] or order
        try:
            name = choose(held, record.waits_for, candidates, None)
        except ClusterError as error:
            raise CommandError(f"nobody is promoted: {error.message}") from error
        new = self._named(name)
        waits_for: Sequence[str] = new.eligible if self._sync != "off" else ()
        if self._sync == "on" and not any(one in held for one in waits_for):
            waits_for = ()
        leadership.write(Record(name, record.term + 1, tuple(waits_for)))
        say(f"{name} leads from now on (term {record.term + 1})")
        names = synchronous_standby_names(self._sync, waits_for)
        self._tell(new, {"do": "promote", "old": old.address, "standby_names": names}, PROMOTE_TIMEOUT_S)
        say(f"{name} is promoted")
        # Before Pgpool-II gets to its follow commands, one after another: commits wait for these standbys.
        with ThreadPoolExecutor(len(others) + 1) as pool:
            list(
                pool.map(
                    lambda one: self._repoint(one, new), (self._named(one) for one in held if one != name)
                )
            )

    def _repoint(self, node: CommandNode, new: CommandNode) -> None:
        try:
            self._tell(node, {"do": "repoint", "primary": new.address}, REPOINT_TIMEOUT_S)
            say(f"{node.name} is told to follow {new.name}")
        except (CommandError, OSError) as error:
            say(f"{node.name} could not be told to follow {new.name}: {error}")

    def _standby_lost(self, failed: int) -> None:
        say(f"{self._nodes[failed].name}, a standby, is detached: nothing to promote")

    def promote(self, failed: int, new_main: int, old_primary: int) -> None:
        """Promote the new main node and do nothing else: no fence, no record, no choice."""
        if failed == old_primary:
            order = {"do": "promote", "old": self._nodes[failed].address}
            self._tell(self._nodes[new_main], order, PROMOTE_TIMEOUT_S)
            say(f"{self._nodes[new_main].name} is promoted; nobody has stopped {self._nodes[failed].name}")

    def follow(self, number: int, new_primary: int) -> None:
        """Have a node follow the new primary and attach it. Raises CommandError when it does not come to that."""
        node = self._nodes[number]
        try:
            order = {"do": "follow", "primary": self._nodes[new_primary].address}
            self._tell(node, order, FOLLOW_TIMEOUT_S)
        except OSError as error:
            say(f"{node.name} does not answer ({error}): left detached")
            return
        say(f"{node.name} follows {self._nodes[new_primary].name}")
        for attempt in range(ATTACH_TRIES):
            done = subprocess.run(
                [self._pcp, "-h", "127.0.0.1", "-p", "9898", "-U", "pcpadmin", "-w", "-n", str(number)],
                env={**os.environ, "PCPPASSFILE": str(self._folder / "pcppass")},
                capture_output=True,
                text=True,
                timeout=ATTACH_TIMEOUT_S,
                check=False,
            )
            if done.returncode == 0:
                say(f"{node.name} is attached")
                return
            time.sleep(0.1 * (attempt + 1))
        raise CommandError(f"{node.name} could not be attached: {done.stderr.strip()}")

    def _held(self, nodes: Sequence[CommandNode]) -> dict[str, Any]:
        """Return how much of the history each standby that answers holds."""
        from outlast.systems.streaming.promotion import Held
        from outlast.units import parse_lsn

        def ask(node: CommandNode) -> Mapping[str, Any]:
            try:
                return self._tell(node, {"do": "state"}, STATE_TIMEOUT_S)
            except (CommandError, OSError) as error:
                say(f"{node.name} does not answer: {error}")
                return {"running": False}

        with ThreadPoolExecutor(max(1, len(nodes))) as pool:
            answers = list(pool.map(ask, nodes))
        return {
            node.name: Held(answer["timeline"], parse_lsn(answer["lsn"]))
            for node, answer in zip(nodes, answers, strict=True)
            if answer["running"] and answer["in_recovery"]
        }

    def _named(self, name: str) -> CommandNode:
        return next(node for node in self._nodes.values() if node.name == name)

    def _tell(self, node: CommandNode, order: Mapping[str, object], timeout_s: float) -> Mapping[str, Any]:
        """Give a node's agent an order and return its answer. Raises CommandError, OSError."""
        with socket.create_connection((node.address, self._port), CONNECT_TIMEOUT_S) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(json.dumps({"token": self._token, **order}).encode() + b"\n")
            with connection.makefile("r") as reader:
                line = reader.readline()
        if not line:
            raise CommandError(f"the agent of {node.name} hung up")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise CommandError(f"{node.name}: {answer['error']}")
        return answer

    def _lock(self, handle: int) -> None:
        end = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    raise CommandError("somebody else is moving the primary") from None
            time.sleep(0.02)


def say(words: str) -> None:
    """Write into the log what is done."""
    print(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()), words, flush=True)


def main() -> int:
    """Run one command; its words go to the log of the balancer's host."""
    folder = Path(sys.argv[1])
    handle = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    numbers = [int(word) for word in sys.argv[3:]]
    say(f"asked to {' '.join(sys.argv[2:])}")
    commands = Commands(folder)
    try:
        match sys.argv[2]:
            case "failover":
                commands.failover(*numbers)
            case "follow":
                commands.follow(*numbers)
            case "promote":
                commands.promote(*numbers)
    except (CommandError, OSError, subprocess.TimeoutExpired) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
