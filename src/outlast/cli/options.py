"""The options that several commands share, and the words that repeat a command."""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from outlast.units import parse_duration_s

if TYPE_CHECKING:
    from outlast.run.request import RunRequest

F = TypeVar("F", bound=Callable[..., object])

SEED_MAX: Final = 2**63 - 1
_DRAWN_BITS: Final = 31
"""Of a seed nobody chose: short enough to be read out."""


class Duration(click.ParamType[float]):
    """``300`` or ``300s`` or ``5m``, in seconds. none: whether 0 will do."""

    name = "duration"

    def __init__(self, *, none: bool = False) -> None:
        self._none = none

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> float:
        """Return the seconds."""
        try:
            seconds = parse_duration_s(value if isinstance(value, int | float) else str(value))
        except ValueError as error:
            self.fail(str(error), param, context)
        if seconds > 0 or self._none:
            return seconds
        return self.fail("must be longer than nothing", param, context)


class OutputFile(click.ParamType[str]):
    """A file to be written at the end, perhaps after hours: refused now where that cannot be."""

    name = "file"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> str:
        """Return its path."""
        path = Path(str(value))
        try:
            if path.is_dir():
                self.fail(f"{path} is a folder", param, context)
            there = next(one for one in (path, *path.absolute().parents) if one.exists())
            if not (path.exists() or there.is_dir()):
                self.fail(f"{there} is no folder", param, context)
            if not os.access(there, os.W_OK):
                self.fail(f"{there} may not be written to", param, context)
        except (OSError, ValueError) as error:  # a name too long, a NUL
            self.fail(f"cannot be a file: {getattr(error, 'strerror', None) or error}", param, context)
        return str(path)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a person said of a run, by the options that a command has of these.

    sets: of --set. junit_file: where JUnit XML goes. as_json: whether one JSON document is printed.
    """

    seed: int
    system: str | None = None
    profile: str | None = None
    route: str | None = None
    lab: str | None = None
    sets: tuple[str, ...] = ()
    keep: bool = False
    junit_file: str | None = None
    as_json: bool = False

    def overrides(self, **more: str | None) -> tuple[str, ...]:
        """Return --set with the options that are settings, too. more: further ones, by key, where they were given."""
        given = {"profile": self.profile, **more}
        return (*self.sets, *(f"{key}={value}" for key, value in given.items() if value))

    def request(
        self, replay: Sequence[str], say: Callable[[str], None], overrides: Sequence[str]
    ) -> RunRequest:
        """Return what is to be run. replay: the command that repeats it, word by word. say: is told of progress."""
        from outlast.run.request import RunRequest  # here: most commands run nothing

        return RunRequest(
            seed=self.seed,
            replay=shlex.join(replay),
            system=self.system,
            lab=self.lab,
            overrides=tuple(overrides),
            keep=self.keep,
            say=say,
        )


Decorator = Callable[[Callable[..., object]], Callable[..., object]]


def collect(into: type, *options: Decorator) -> Decorator:
    """Add options to a command that is given all of their values as one: ``options``, of the dataclass ``into``."""

    def decorate(command: Callable[..., object]) -> Callable[..., object]:
        @wraps(command)
        def call(**values: Any) -> object:
            names = [field.name for field in fields(into) if field.name in values]
            return command(options=into(**{name: values.pop(name) for name in names}), **values)

        decorated: Callable[..., object] = call
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


json_option = click.option("as_json", "--json", is_flag=True, help="Print one JSON document.")
lab_option = click.option("--lab", metavar="L", help="The lab; not needed when there is only one.")
profile_option = click.option(
    "--profile", type=click.Choice(["default", "fast"]), help="Timing: the manager's own, or its fastest."
)
route_option = click.option(
    "--route",
    type=click.Choice(["libpq", "haproxy", "pgbouncer", "pgpool"]),
    help="How clients find the primary; what it leads through is added to a fresh lab.",
)
set_option = click.option(
    "sets", "--set", multiple=True, metavar="KEY=VALUE", help="Set a key of the cluster or drill."
)
junit_option = click.option(
    "--junit", "junit_file", type=OutputFile(), metavar="F", help="Also write the verdicts to F as JUnit XML."
)
keep_option = click.option("--keep", is_flag=True, help="Leave the lab up afterwards.")


def seed_option(
    words: str = "Repeat the choices of an earlier run.", top: int = SEED_MAX
) -> Callable[[F], F]:
    """Return --seed: from what all choices of a run follow. The command is given one in any case: drawn if none is."""

    def chosen(_context: click.Context, _param: click.Parameter, seed: int | None) -> int:
        return secrets.randbits(_DRAWN_BITS) if seed is None else seed

    return click.option("--seed", type=click.IntRange(0, top), callback=chosen, help=words)


def webhook_option(command: F) -> F:
    """Add --webhook URL: whom to tell of failovers, alerts and verdicts. Its value is chosen, not passed on."""

    def chosen(_context: click.Context, _param: click.Parameter, url: str | None) -> None:
        from outlast.notify.webhook import choose, receiver  # here: most commands tell nobody

        if url is not None:
            choose(url)
        receiver()  # one named by the environment is refused now, not after a lab is up

    option = click.option(
        "--webhook", metavar="URL", expose_value=False, callback=chosen,
        help="Post failovers, alerts and verdicts there; OUTLAST_WEBHOOK_SECRET signs them.",
    )  # fmt: skip
    return option(command)


def as_it_is(lab: str | None, *changes: object) -> None:
    """Raise UsageError when a lab that is up is named and what would make another of it too."""
    if lab is not None and any(changes):
        raise click.UsageError(
            "--lab takes the lab as it is: no --system or --profile with it, and --set may set keys of the drill only"
        )


def given(*pairs: tuple[str, str | None]) -> list[str]:
    """Return the words of those options that have a value, to repeat a command with."""
    return [word for option, value in pairs if value for word in (option, value)]


def set_words(overrides: Sequence[str]) -> list[str]:
    """Return overrides as the words that give them again."""
    return given(*(("--set", text) for text in overrides))
