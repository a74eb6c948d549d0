"""Runs data-driven Raft scenarios: a command, `----`, and what must come of it.

    python -m raftlog.testing.conformance PATH…     a file or a folder; exits 1 when one differs

The scenario language is that of etcd's raft (github.com/etcd-io/raft, testdata): a whole cluster driven by
text, and two pure parts, quorum and membership changes. Our own golden transcripts are written in it too.

What is compared: every Ready (leader, role, hard state, entries, snapshot, committed entries, messages,
whether it must be synced), every message received or dropped, every status, log and error. What is not: the
log lines of that implementation (INFO, DEBUG, WARN), and the chart that `committed` draws before its result.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from raftlog.core.config_change import Change, MembershipError, Op
from raftlog.core.membership import Changer, Configuration, ProgressMap
from raftlog.core.quorum import INFINITE, joint_committed, joint_vote
from raftlog.testing.scenario import ScenarioCluster, ScenarioCommand

_USAGE = "usage: python -m raftlog.testing.conformance PATH…"
_LOG_LEVELS = ("INFO ", "DEBUG ", "WARN ", "ERROR ")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A command whose outcome was not the expected one."""

    path: Path
    command: ScenarioCommand
    actual: tuple[str, ...]

    def __str__(self) -> str:
        expected = "\n".join(f"  - {line}" for line in comparable(self.command, self.command.expected))
        actual = "\n".join(f"  + {line}" for line in self.actual)
        place = f"{self.path.name}:{self.command.line}"
        return f"{place}: {self.command.name} {' '.join(self.command.arguments)}\n{expected}\n{actual}"


def parse(text: str) -> Iterator[ScenarioCommand]:
    """Yield the commands of a scenario file. Raises ValueError for one without `----`."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        if not lines[at].strip() or lines[at].lstrip().startswith("#"):
            at += 1
            continue
        start = at
        while at < len(lines) and lines[at] != "----":
            at += 1
        if at == len(lines):
            raise ValueError(f"line {start + 1}: no ---- after the command")
        head, *body = lines[start:at]
        at += 1
        first = at
        while at < len(lines) and lines[at].strip():
            at += 1
        arguments, options = _arguments(head)
        yield ScenarioCommand(
            start + 1, arguments[0], tuple(arguments[1:]), options, tuple(body), tuple(lines[first:at])
        )


def _arguments(command: str) -> tuple[list[str], dict[str, str]]:
    """Split a command; the blanks inside parentheses belong to their argument."""
    parts: list[str] = []
    depth = 0
    for part in command.replace(", ", ",").split():
        if depth:
            parts[-1] += "," + part
        else:
            parts.append(part)
        depth += part.count("(") - part.count(")")
    plain = [part for part in parts if "=" not in part]
    pairs = (part.split("=", 1) for part in parts if "=" in part)
    return plain, {key: value.strip("()") for key, value in pairs}


def comparable(command: ScenarioCommand, lines: tuple[str, ...]) -> tuple[str, ...]:
    """Return the lines of an outcome that are compared."""
    if command.name == "committed":
        return tuple(line.replace("<empty majority quorum>", "") for line in lines[-1:])
    kept = tuple(line.rstrip() for line in lines if not line.lstrip().startswith(_LOG_LEVELS))
    return kept or ("ok",)


def run_file(path: Path) -> list[Mismatch]:
    """Run one scenario file; return the commands whose outcome differs.

    A file stops at its first, since what follows rests on it.
    """
    runner = _runner_of(path)
    for command in parse(path.read_text(encoding="utf-8")):
        actual = comparable(command, tuple(runner(command).splitlines()))
        if actual != comparable(command, command.expected):
            return [Mismatch(path, command, actual)]
    return []


def _runner_of(path: Path) -> Callable[[ScenarioCommand], str]:
    if "quorum" in path.parts:
        return run_quorum
    if "confchange" in path.parts:
        return MembershipScenario().run
    cluster = ScenarioCluster()
    return cluster.run


def run_quorum(command: ScenarioCommand) -> str:
    """Compute what a quorum has committed, or how a vote stands."""
    incoming, outgoing = (_ids(command.options.get(key, "")) for key in ("cfg", "cfgj"))
    order = incoming + [node for node in outgoing if node not in incoming]
    if command.name == "committed":
        given = command.options.get("idx", "").split(",")
        matched = {n: int(v) for n, v in zip(order, given, strict=False) if v.strip() != "_"}
        result = joint_committed(incoming, outgoing, matched)
        return "∞" if result == INFINITE else str(result)
    given = command.options.get("votes", "").split(",")
    votes = {n: v.strip() == "y" for n, v in zip(order, given, strict=False) if v.strip() != "_"}
    return f"Vote{joint_vote(incoming, outgoing, votes).name.capitalize()}"


def _ids(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word.strip() not in ("", "zero")]


def parse_changes(text: str) -> tuple[Change, ...]:
    """Return the changes in `v1 l2 r3 u4`: add voter, add learner, remove, update."""
    ops = {"v": Op.ADD_VOTER, "l": Op.ADD_LEARNER, "r": Op.REMOVE, "u": Op.UPDATE}
    return tuple(Change(ops[word[0]], int(word[1:])) for word in text.split())


class MembershipScenario:
    """Membership changes alone, without a cluster. Each command stands one log index after the one before."""

    def __init__(self) -> None:
        self.config = Configuration()
        self.tracked: ProgressMap = {}
        self.last_index = 0

    def run(self, command: ScenarioCommand) -> str:
        """Apply one change; return the configuration and progress, or why it is refused."""
        changer = Changer(self.config, self.tracked, max(self.last_index, 1), inflight_max=10)
        self.last_index += 1
        changes = parse_changes(" ".join(command.body))
        try:
            if command.name == "simple":
                self.config, self.tracked = changer.simple(changes)
            elif command.name == "enter-joint":
                auto_leave = command.options.get("autoleave") == "true"
                self.config, self.tracked = changer.enter_joint(changes, auto_leave=auto_leave)
            else:
                self.config, self.tracked = changer.leave_joint()
        except MembershipError as error:
            return str(error)
        progress = (f"{node}: {self.tracked[node]}".replace(" inactive", "") for node in sorted(self.tracked))
        return "\n".join([str(self.config), *progress])


def main(paths: list[str]) -> int:
    """Run every scenario under the given paths; print what differs; return the exit code."""
    if missing := [path for path in paths if not Path(path).exists()]:
        print(f"no such file or folder: {missing[0]}; {_USAGE}", file=sys.stderr)
        return 64
    files = [
        file
        for path in map(Path, paths)
        for file in (sorted(path.rglob("*.txt")) if path.is_dir() else [path])
    ]
    if not files:
        print(f"no scenario found; {_USAGE}", file=sys.stderr)
        return 64
    mismatches = [mismatch for file in files for mismatch in run_file(file)]
    for mismatch in mismatches:
        print(mismatch)
    print(f"{len(files) - len(mismatches)} of {len(files)} scenarios agree", file=sys.stderr)
    return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
