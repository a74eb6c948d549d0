"""What ``outlast doctor`` says of one thing it has looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class CheckState(StrEnum):
    """ok; note: works, with something to know; missing: optional and not there; bad: in the way.

    unseen: it could not be looked at, so that nothing is known of it, good or bad.
    """

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"
    BAD = "bad"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """check: what was looked at. said: what was found. remedy: what to do about it, as a command where one exists."""

    check: str
    state: CheckState
    said: str
    remedy: str | None = None


def is_well(found: Iterable[Diagnosis]) -> bool:
    """Whether nothing is in the way; what could not be looked at is not known to be well."""
    return all(one.state not in (CheckState.BAD, CheckState.UNSEEN) for one in found)
