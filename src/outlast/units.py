"""Units and small value types that every part shares.

Durations are floats in seconds where a person writes or reads them (``outage_s``) and integers in
nanoseconds where they are measured (``at_ns``). Sizes are bytes. The unit is always the last word of a name.
"""

from __future__ import annotations

import re
from typing import NewType

NodeName = NewType("NodeName", str)
"""The logical name of a member of a cluster, for example ``pg-node-1``."""

Timeline = NewType("Timeline", int)
"""A PostgreSQL timeline id: 1 after initdb, one more after each promotion."""

Lsn = NewType("Lsn", int)
"""A write-ahead log position as an absolute byte offset (PostgreSQL prints it as ``X/Y`` in hex)."""

NS_PER_S = 1_000_000_000
_QUOTED_MAX = 40

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ns|us|ms|s|m|min|h|d)?")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?:/\s*(?P<unit>s|m|min|h))?")


def parse_duration_s(text: str | int | float) -> float:
    """Return a duration in seconds from ``5``, ``"5s"``, ``"150ms"``, ``"2m"`` or ``"1h"``.

    A bare number is seconds. Raises ValueError, saying what is accepted, for anything else.
    """
    if isinstance(text, bool):
        raise ValueError("a duration is a number of seconds or text like 5s, 150ms, 2m")
    if isinstance(text, int | float):
        if not 0 <= text < float("inf"):
            raise ValueError(f"a duration is not negative and finite, got {text}")
        return float(text)
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{_short(text)} is no duration; write 5s, 150ms, 2m or a number of seconds")
    return parse_duration_s(float(found["number"]) * _SECONDS[found["unit"] or "s"])  # float() may say inf


def parse_rate_per_s(text: str | int | float) -> float:
    """Return a rate per second from ``500``, ``"500/s"`` or ``"600/m"``. Raises ValueError otherwise."""
    if isinstance(text, bool):
        raise ValueError("a rate is a number per second or text like 500/s")
    if isinstance(text, int | float):
        if not 0 < text < float("inf"):
            raise ValueError(f"a rate is positive and finite, got {text}")
        return float(text)
    found = _RATE.fullmatch(text.strip())
    if found is None or float(found["number"]) <= 0:
        raise ValueError(f"{_short(text)} is no rate; write 500/s, 600/m or a number per second")
    return parse_rate_per_s(float(found["number"]) / _SECONDS[found["unit"] or "s"])  # float() may say inf


def parse_lsn(text: str) -> Lsn:
    """Return the byte offset of an LSN as PostgreSQL prints it (``0/3000148``), else raise ValueError."""
    high, slash, low = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is no LSN; PostgreSQL prints one as 0/3000148")
    return Lsn((int(high, 16) << 32) | int(low, 16))


def format_lsn(lsn: int) -> str:
    """Return an LSN the way PostgreSQL prints it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def _short(text: str) -> str:
    """Return a text as an error quotes it."""
    return repr(text if len(text) <= _QUOTED_MAX else f"{text[:_QUOTED_MAX]}…")
