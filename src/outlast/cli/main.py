"""The ``outlast`` program: its groups of commands, and how every error ends."""

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

import outlast
from outlast.cli.output import ERR
from outlast.errors import OutlastError
from outlast.report.literal import literal_text

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


GROUPS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "A cluster": {
        "up": ("labs", "Bring up a cluster on a lab of its own"),
        "status": ("labs", "Roles, lags, ports; --dsn: of any PostgreSQL cluster, only looking"),
        "psql": ("labs", "psql on the primary, or on a node"),
        "exec": ("exec", "Run a program on a host"),
        "logs": ("labs", "The last lines of the nodes' logs"),
        "credentials": ("labs", "The generated passwords"),
        "down": ("labs", "Remove a lab and prove that nothing is left"),
    },
    "Operate it": {
        "switchover": ("primary_operations", "Move the primary while it is healthy"),
        "failover": ("primary_operations", "Have a standby promoted, whether or not there is a primary"),
        "restart": ("primary_operations", "Restart servers, standbys first"),
        "add-node": ("node_operations", "One node more, while it runs"),
        "remove-node": ("node_operations", "One node less, while it runs"),
        "reseed": ("node_operations", "Copy a standby's data anew"),
        "maintenance": ("node_operations", "Take a standby out for work, or back in"),
        "set": ("node_operations", "Change PostgreSQL settings, with only the restarts they need"),
        "backup": ("backups", "Back the primary up; its WAL is archived all the time"),
        "backups": ("backups", "The backups there are, and the archive"),
        "restore": ("backups", "A server from a backup and the archive, to any moment since"),
    },
    "Break it and judge": {
        "drill": ("drills", "Run an experiment under load, and say what was lost"),
        "suite": ("suites", "Drills and checks that belong together, one verdict"),
        "chaos": ("chaos", "Faults drawn from a seed, under load, all healed, judged"),
        "soak": ("soak", "Failovers for half an hour or days, every row compared"),
        "matrix": ("matrices", "The same drills on each system and profile, side by side"),
        "load": ("load", "A recorded workload and no fault; also on a cluster of your own"),
        "inject": ("chaos", "Inject one fault into a lab that is up"),
        "heal": ("chaos", "Heal all that was injected, by whatever process"),
    },
    "Read what happened": {
        "report": ("stored_runs", "A stored run again; --html: as one page"),
        "check": ("histories", "Judge a stored run again, or a history of someone else's"),
        "export": ("histories", "Write a history in the form of Jepsen, elle-cli, Plume or Porcupine"),
        "serve": ("serve", "The live page and its API, on 127.0.0.1"),
        "dashboards": ("dashboards", "Write the Grafana dashboards"),
        "notify": ("notify", "Post a lab's failovers and alerts to a URL"),
    },
    "Find your way": {
        "ls": ("listing", "List drills, faults, presets, systems, settings, runs, …"),
        "doctor": ("doctor", "What this machine has and lacks; --lab: what is wrong there"),
        "validate": ("validate", "Check a cluster or drill file"),
        "bench": ("bench", "Measure Outlast beside its peers"),
    },
}
"""Commands by purpose: the module beside this one whose ``COMMANDS`` holds it, and what the list says of it."""

COMMANDS: Final = {name: module for group in GROUPS.values() for name, (module, _words) in group.items()}


class LazyGroup(click.Group):
    """Imports a command's module when that command is asked for: most need only a part of the house.

    Source: click's documentation, "Lazily Loading Subcommands".
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, from its module; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        commands: tuple[click.Command, ...] = import_module(f"outlast.cli.{COMMANDS[cmd_name]}").COMMANDS
        return next(command for command in commands if command.name == cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by purpose, and import none of them."""
        for purpose, group in GROUPS.items():
            with formatter.section(purpose):
                formatter.write_dl(
                    [(name.ljust(len("remove-node")), words) for name, (_module, words) in group.items()]
                )


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(outlast.__version__, package_name="outlast")
@click.option("-v", "--verbose", is_flag=True, help="Say more; show where an error comes from.")
@click.pass_context
def outlast_command(context: click.Context, verbose: bool) -> None:
    """Prove that a database cluster survives.

    Bring up a real cluster, drive a recorded workload through it, break it on purpose, judge the history.
    """
    context.obj = verbose


def main() -> None:
    """Run the command line and exit with the code that its verdict or error has."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str], command: click.Command = outlast_command, program: str = "outlast") -> int:
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
    except OutlastError as error:
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
                "free some, or set OUTLAST_STATE to another disk",
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
        f"outlast itself failed: {type(error).__name__}: {error} ({place.filename}:{place.lineno})",
        "please report this; -v shows where it comes from",
    )
    return OUR_FAULT


def complain(message: str, hint: str | None) -> None:
    """Print an error and its hint to stderr, taken literally."""
    ERR.print(Text.assemble(("error: ", "bold red"), literal_text(message)))
    if hint:
        ERR.print(Text.assemble(("hint: ", "bold"), literal_text(hint)))


if __name__ == "__main__":
    main()
