"""The ``holdfast`` program: its groups of commands, and how every error ends."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Final

import click
from rich.text import Text

import holdfast
from holdfast.cli import chaos, drills, judging, labs, listing, operations
from holdfast.cli.output import ERR
from holdfast.errors import HoldfastError

USAGE: Final = 64
OUR_FAULT: Final = 70
INTERRUPTED: Final = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(holdfast.__version__, package_name="holdfast")
@click.option("-v", "--verbose", is_flag=True, help="Say more; show where an error comes from.")
@click.pass_context
def holdfast_command(context: click.Context, verbose: bool) -> None:
    """Prove that a database cluster survives.

    Bring up a real cluster, drive a recorded workload through it, break it on purpose, judge the history.
    """
    context.obj = verbose


for module in (labs, operations, drills, chaos, judging, listing):
    for command in module.COMMANDS:
        holdfast_command.add_command(command)


def main() -> None:
    """Run the command line and exit with DESIGN's codes."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code. An error is one line and, where there is one, a hint."""
    # Its warnings tell of connections that faults have cut: that is our business, not news.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    verbose = "-v" in arguments or "--verbose" in arguments
    try:
        result = holdfast_command.main(arguments, prog_name="holdfast", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return USAGE
    except HoldfastError as error:
        if verbose:
            traceback.print_exc()
        complain(error.message, error.hint)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted; what was made has been removed", None)
        return INTERRUPTED
    except BrokenPipeError:
        return 0  # the reader of our output had enough
    except Exception as error:  # noqa: BLE001 - the last resort: our own fault, said in one line
        if verbose:
            traceback.print_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        complain(
            f"holdfast itself failed: {type(error).__name__}: {error} ({place.filename}:{place.lineno})",
            "please report this; -v shows where it comes from",
        )
        return OUR_FAULT
    return result if isinstance(result, int) else 0


def complain(message: str, hint: str | None) -> None:
    """Print an error and its hint to stderr, taken literally."""
    ERR.print(Text.assemble(("error: ", "bold red"), message))
    if hint:
        ERR.print(Text.assemble(("hint: ", "bold"), hint))


if __name__ == "__main__":
    main()
