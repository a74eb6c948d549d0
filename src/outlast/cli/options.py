"""The options that several commands share, and the words that repeat a command."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import click

from outlast.units import parse_duration_s

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
