"""The ``holdfast`` program: its groups of commands, and how every error ends."""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from typing import Final

import click
from rich.text import Text

import holdfast
from holdfast.cli.output import ERR
from holdfast.errors import HoldfastError
from holdfast.report.plain import plain

USAGE: Final = 64
OUR_FAULT: Final = 70
INTERRUPTED: Final = 130
READER_GONE: Final = 141
DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
REFUSED: Final = (
    errno.EACCES,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
)
"""What a file system says of a place that a person named, and that nobody foresaw."""


COMMANDS: Final[Mapping[str, str]] = {
    "up": "labs",
    "status": "labs",
    "down": "labs",
    "psql": "labs",
    "logs": "labs",
    "credentials": "labs",
    "exec": "operations",
    "validate": "operations",
    "switchover": "operations",
    "failover": "operations",
    "restart": "operations",
    "add-node": "operating",
    "remove-node": "operating",
    "reseed": "operating",
    "maintenance": "operating",
    "set": "operating",
    "drill": "drills",
    "suite": "suites",
    "matrix": "matrices",
    "chaos": "chaos",
    "soak": "soak",
    "inject": "chaos",
    "heal": "chaos",
    "load": "load",
    "check": "judging",
    "report": "judging",
    "dashboards": "dashboards",
    "notify": "notify",
    "ls": "listing",
    "bench": "bench",
    "doctor": "doctor",
    "serve": "serve",
}
"""Each command and the module beside this one whose ``COMMANDS`` holds it."""


class LazyGroup(click.Group):
    """Imports a command's module when that command is asked for: most need only a part of the house.

    Source: click's documentation, "Lazily Loading Subcommands".
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, from its module; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        commands: tuple[click.Command, ...] = import_module(f"holdfast.cli.{COMMANDS[cmd_name]}").COMMANDS
        return next(command for command in commands if command.name == cmd_name)


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(holdfast.__version__, package_name="holdfast")
@click.option("-v", "--verbose", is_flag=True, help="Say more; show where an error comes from.")
@click.pass_context
def holdfast_command(context: click.Context, verbose: bool) -> None:
    """Prove that a database cluster survives.

    Bring up a real cluster, drive a recorded workload through it, break it on purpose, judge the history.
    """
    context.obj = verbose


def main() -> None:
    """Run the command line and exit with DESIGN's codes."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str], command: click.Command = holdfast_command, program: str = "holdfast") -> int:
    """Run one command and return its exit code. An error is one line and, where there is one, a hint."""
    # Its warnings tell of connections that faults have cut: that is our business, not news.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    verbose = "-v" in arguments or "--verbose" in arguments
    try:
        result = command.main(arguments, prog_name=program, standalone_mode=False)
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
    except (BrokenPipeError, SystemExit):  # click, too, leaves by itself when nobody reads on
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)  # what is left in the buffer must not fail again at the end
        os.close(nowhere)
        return READER_GONE
    except OSError as error:
        if error.errno in DISK_FULL:
            complain(
                f"the disk is full: {error.filename or error}",
                "free some, or set HOLDFAST_STATE to another disk",
            )
        elif error.errno in REFUSED and error.filename is not None:
            complain(f"{str(error.filename)[:200]}: {error.strerror}", "name a place that you may use")
        else:
            return our_fault(error, verbose)
        return USAGE
    except Exception as error:  # noqa: BLE001 - the last resort
        return our_fault(error, verbose)
    return result if isinstance(result, int) else 0


def our_fault(error: Exception, verbose: bool) -> int:
    """Say in one line what went wrong in our own code; returns the exit code."""
    if verbose:
        traceback.print_exception(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    complain(
        f"holdfast itself failed: {type(error).__name__}: {error} ({place.filename}:{place.lineno})",
        "please report this; -v shows where it comes from",
    )
    return OUR_FAULT


def complain(message: str, hint: str | None) -> None:
    """Print an error and its hint to stderr, taken literally."""
    ERR.print(Text.assemble(("error: ", "bold red"), plain(message)))
    if hint:
        ERR.print(Text.assemble(("hint: ", "bold"), plain(hint)))


if __name__ == "__main__":
    main()
