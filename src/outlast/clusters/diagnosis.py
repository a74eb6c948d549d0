"""What ``outlast doctor`` says of one thing it has looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class CheckState(StrEnum):
    """ok; note: works, with something to know; missing: optional and not there; bad: in the way."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """check: what was looked at. said: what was found. remedy: what to do about it, as a command where one exists."""

    check: str
    state: CheckState
    said: str
    remedy: str | None = None


def is_well(found: Iterable[Diagnosis]) -> bool:
    """Whether nothing is in the way."""
    return all(one.state is not CheckState.BAD for one in found)
