"""The options that several commands share, and the words that repeat a command."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import click

from holdfast.units import parse_duration_s

F = TypeVar("F", bound=Callable[..., object])

SEED_MAX: Final = 2**63 - 1
_DRAWN_BITS: Final = 31
"""Of a seed nobody chose: short enough to be read out."""


class Duration(click.ParamType[float]):
    """``300`` or ``300s`` or ``5m``, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> float:
        """Return the seconds."""
        try:
            seconds = parse_duration_s(value if isinstance(value, int | float) else str(value))
        except ValueError as error:
            self.fail(str(error), param, context)
        return seconds if seconds > 0 else self.fail("must be longer than nothing", param, context)


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
    "--junit", "junit_file", metavar="F", help="Also write the verdicts to F as JUnit XML."
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
        from holdfast.run.webhook import choose, receiver  # here: most commands tell nobody

        if url is not None:
            choose(url)
        receiver()  # one named by the environment is refused now, not after a lab is up

    option = click.option(
        "--webhook", metavar="URL", expose_value=False, callback=chosen,
        help="Post failovers, alerts and verdicts there; HOLDFAST_WEBHOOK_SECRET signs them.",
    )  # fmt: skip
    return option(command)


def given(*pairs: tuple[str, str | None]) -> list[str]:
    """Return the words of those options that have a value, to repeat a command with."""
    return [word for option, value in pairs if value for word in (option, value)]


def set_words(overrides: Sequence[str]) -> list[str]:
    """Return overrides as the words that give them again."""
    return given(*(("--set", text) for text in overrides))
