"""Optional parts: the packages that each needs, and the command that brings them.

Installing Outlast brings what drills on PostgreSQL need and nothing that only some of its parts use
(docs/adr/what-an-install-brings.md). A part that needs more says so here, before it imports or starts anything.
"""

from __future__ import annotations

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from outlast.errors import UnavailableError

EXTRAS: Final = {
    "raftlog": ("uvloop", "h11", "kio", "aiokafka", "zstandard", "boto3"),
    "transactions": ("scipy",),
    "web": ("fastapi", "uvicorn", "jwt"),
}
"""The modules of each extra, by its name in pyproject.toml."""


class MissingExtraError(UnavailableError):
    """An optional part was asked for whose packages are not installed. The hint is the command that installs them.

    reason: message and hint in one sentence, for a list of what was left out and why.
    """

    def __init__(self, extra: str, absent: list[str]) -> None:
        command = install_command(extra)
        super().__init__(f"{extra} needs packages that are not installed: {', '.join(absent)}", hint=command)
        self.reason = f"{self.message}; {command} installs them"


def missing(extra: str) -> MissingExtraError | None:
    """Return the error for an extra that is not installed, None when it is. Imports nothing."""
    absent = [module for module in EXTRAS[extra] if find_spec(module) is None]
    return MissingExtraError(extra, absent) if absent else None


def require(extra: str) -> None:
    """Raise MissingExtraError, with the command that installs it, when an extra is not installed."""
    if (error := missing(extra)) is not None:
        raise error


def install_command(extra: str) -> str:
    """Return the command that adds an extra, from where this installation came.

    Source: PEP 610, direct_url.json: a checkout, a wheel, a repository; without one, a package index.
    """
    wanted = f"outlast[{extra}]"
    try:
        recorded = distribution("outlast").read_text("direct_url.json")
    except PackageNotFoundError:
        recorded = None
    if recorded is None:
        return shlex.join(["pip", "install", wanted])
    origin = json.loads(recorded)
    url: str = origin["url"]
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return shlex.join(["pip", "install", f"{wanted} @ {vcs['vcs']}+{url}@{vcs['commit_id']}"])
    place = url2pathname(urlsplit(url).path) if url.startswith("file:") else url
    if "dir_info" in origin:
        editable = ["-e"] if origin["dir_info"].get("editable") else []
        return shlex.join(["pip", "install", *editable, f"{place}[{extra}]"])
    return shlex.join(["pip", "install", f"{wanted} @ {url}"])
