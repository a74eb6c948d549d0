"""Workload ``command``: a person's own load program, with the way to the primary in its environment.

    outlast load command --lab L -- python my_load.py
    workload: {command: {argv: [python, my_load.py]}}

It passes when the program ends with 0, or lives until it is asked to end (SIGTERM) and then does. What it prints may
say more: see ``own_program``, and docs/workloads.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from outlast.errors import ConfigError
from outlast.history.op import Outcome
from outlast.workloads.base import Invocation, Options


@dataclass(frozen=True, slots=True)
class CommandWorkload:
    """Runs any program."""

    name: ClassVar[str] = "command"
    tables: ClassVar[tuple[str, ...]] = ()
    setup: ClassVar[tuple[str, ...]] = ()
    statement: ClassVar[str] = ""
    values_sql: ClassVar[str] = ""
    params: ClassVar[Mapping[str, int]] = {}
    checkers: ClassVar[tuple[str, ...]] = ("command_ended", "command_outage")
    restarts: ClassVar[bool] = False

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield nothing: the program decides for itself."""
        yield from ()

    def argv(self, given: Mapping[str, object], clients: int) -> tuple[str, ...]:
        """Return the program and its arguments. Raises ConfigError when there is none."""
        words = given.get("argv")
        unknown = [key for key in given if key != "argv"]
        if unknown:
            raise ConfigError(
                "is no setting of this workload",
                key=f"workload.command.{unknown[0]}",
                hint="its only setting is argv",
            )
        if (
            not isinstance(words, list | tuple)
            or not words
            or not all(isinstance(word, str) for word in words)
        ):
            raise ConfigError(
                "must be the program and its arguments, a list of texts",
                key="workload.command.argv",
                hint="outlast load command --lab L -- PROGRAM ARGUMENTS…",
            )
        return tuple(words)

    def heard(self, line: str) -> Outcome | None:
        """Return what a line of its output says of an operation; None: nothing."""
        word = line.split(maxsplit=1)[0].lower().rstrip(":,") if line else ""
        return {"ok": Outcome.OK, "error": Outcome.FAIL}.get(word)
