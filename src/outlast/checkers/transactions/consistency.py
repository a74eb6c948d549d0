"""Which anomalies each consistency level rules out; docs/checkers.md has the table.

repeatable-read is Adya's PL-2.99, not SQL's: every cycle of item dependencies is out, and since our reads
name their keys, every cycle we find is one. read-uncommitted and read-committed are his PL-1 and PL-2,
cursor-stability is PL-CS with every read before a write of the key taken for the cursor's, serializable is
PL-3. snapshot-isolation is the generalized one: a snapshot may be old; cycles without two adjacent
anti-dependencies are out. Levels ask for the order of sessions where their name says so, and in read-atomic,
causal and pram, as their sources have it: what these forbid is not said in cycles, see visibility.py.
garbage-read (a value that nobody wrote) is of no level in Adya, whose histories cannot hold one; it is out
everywhere here.

Sources: Adya, "Weak Consistency" (MIT 1999); Adya, Liskov, O'Neil, "Generalized Isolation Level Definitions"
(ICDE 2000); Cerone and Gotsman, "Analysing Snapshot Isolation" (PODC 2016); Daudjee and Salem, "Lazy Database
Replication with Snapshot Isolation" (VLDB 2006), for sessions; Bailis et al., "Highly Available Transactions"
(VLDB 2013), for lost update; Biswas and Enea (OOPSLA 2019) for read atomic and causal; Lipton and Sandberg, "PRAM"
(1988); Elle, consistency_model.clj, for dirty-update, incompatible-order and internal, and for the lattice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

CYCLES: Final = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")
"""Cycles by what they are made of, worst first: write dependencies; with a read dependency; with one
anti-dependency; with several, none next to another; with several, some adjacent."""

VARIANTS: Final = ("", "-process", "-realtime")
"""Edges a cycle may have besides dependencies: none, the order of one process, that of real time."""

_READ_UNCOMMITTED = frozenset({"G0", "duplicate-elements", "reordered-appends", "garbage-read"})
_READ_COMMITTED = _READ_UNCOMMITTED | {
    "G1a",
    "G1b",
    "G1c",
    "dirty-update",
    "incompatible-order",
    "cyclic-versions",
    "future-read",
}
_PRAM = frozenset(
    {"duplicate-elements", "reordered-appends", "garbage-read", "G1a", "G1b", "future-read"}
) | {
    "internal",
    "no-pram-order",
}
_CURSOR = _READ_COMMITTED | {"lost-update", "G-cursor", "no-cursor-order"}
_ATOMIC = _READ_COMMITTED | {"internal", "fractured-read"}
_SNAPSHOT = _CURSOR | _ATOMIC | {"G-single", "G-nonadjacent", "no-snapshot-order"}
_REPEATABLE_READ = _SNAPSHOT | {"G2-item", "no-serial-order"}


def _with(variant: str, *names: str) -> frozenset[str]:
    return frozenset(name + variant for name in names)


_SESSION_COMMITTED = _READ_COMMITTED | _with("-process", "G0", "G1c")
_READ_ATOMIC = _SESSION_COMMITTED | _ATOMIC | {"fractured-read-process"}
_CAUSAL = _READ_ATOMIC | {"no-causal-order"}
_ON_SNAPSHOTS = ("G0", "G1c", "G-single", "G-nonadjacent", "no-snapshot-order")
_SESSION_SNAPSHOT = _SNAPSHOT | _CAUSAL | _PRAM | _with("-process", *_ON_SNAPSHOTS)
_STRONG_SNAPSHOT = _SESSION_SNAPSHOT | _with("-realtime", *_ON_SNAPSHOTS)
_SESSION_SERIALIZABLE = _SESSION_SNAPSHOT | _REPEATABLE_READ | _with("-process", "G2-item", "no-serial-order")
_STRICT = _SESSION_SERIALIZABLE | _STRONG_SNAPSHOT | _with("-realtime", "G2-item", "no-serial-order")

PROSCRIBED: Final[dict[str, frozenset[str]]] = {
    "read-uncommitted": _READ_UNCOMMITTED,
    "strong-session-read-uncommitted": _READ_UNCOMMITTED | _with("-process", "G0"),
    "pram": _PRAM,
    "read-committed": _READ_COMMITTED,
    "strong-session-read-committed": _SESSION_COMMITTED,
    "cursor-stability": _CURSOR,
    "read-atomic": _READ_ATOMIC,
    "causal": _CAUSAL,
    "repeatable-read": _REPEATABLE_READ,
    "snapshot-isolation": _SNAPSHOT,
    "strong-session-snapshot-isolation": _SESSION_SNAPSHOT,
    "strong-snapshot-isolation": _STRONG_SNAPSHOT,
    "serializable": _REPEATABLE_READ,
    "strong-session-serializable": _SESSION_SERIALIZABLE,
    "strict-serializable": _STRICT,
}
"""The anomalies that may not occur, by level, weaker ones before stronger ones."""

LEVELS: Final = tuple(PROSCRIBED)

BY_SIGHT: Final = ("pram", "read-atomic", "causal")
"""Levels that say what a transaction must see: looked for only where they are asked for."""


def split_variant(cycle: str) -> tuple[str, str]:
    """Return (base, variant): ``G0-process`` is ("G0", "-process")."""
    for variant in VARIANTS[1:]:
        if cycle.endswith(variant):
            return cycle.removesuffix(variant), variant
    return cycle, ""


ORDERS: Final = {
    "cursor-stability": "no-cursor-order",
    "repeatable-read": "no-serial-order",
    "serializable": "no-serial-order",
    "snapshot-isolation": "no-snapshot-order",
    "strong-session-snapshot-isolation": "no-snapshot-order-process",
    "strong-snapshot-isolation": "no-snapshot-order-realtime",
    "strong-session-serializable": "no-serial-order-process",
    "strict-serializable": "no-serial-order-realtime",
}
"""What a level is found guilty of when versions can be ordered in no way that suits it; others need no search."""

INFERRED: Final = {
    level: split_variant(anomaly)[1] for level, anomaly in ORDERS.items() if split_variant(anomaly)[1]
}
"""By level, whose order (-process, -realtime) tells it the order of versions too."""

IMPLIED: Final[dict[str, frozenset[str]]] = {
    "G0": frozenset({"G1c"}),
    "G1c": frozenset(),
    "G-single": frozenset({"G-nonadjacent", "G2-item"}),
    "G-nonadjacent": frozenset({"G2-item"}),
    "G2-item": frozenset(),
}
"""Cycles that are not looked for where a worse one was found: they would only tell the same again. A cycle
likewise implies its own variants. Source: Elle, consistency_model.clj implied-anomalies."""


def implied_by(cycle: str) -> frozenset[str]:
    """Return the cycles that need no search where cycle (with or without variant) was found."""
    base, variant = split_variant(cycle)
    bases = {base} | IMPLIED[base]
    later = VARIANTS[VARIANTS.index(variant) :]
    return frozenset(each + suffix for each in bases for suffix in later)


def ruled_out(anomalies: Iterable[str]) -> tuple[str, ...]:
    """Return the levels that cannot hold where these anomalies were found, weakest first."""
    names = frozenset(anomalies)
    return tuple(level for level in LEVELS if names & PROSCRIBED[level])


def strongest(anomalies: Iterable[str], asked: str = "") -> tuple[str, ...]:
    """Return the strongest levels that still may hold; several when none implies the other; none when even
    read-uncommitted is out. Of those that are looked for only where they are asked for, only asked."""
    unseen = {"cursor-stability", *BY_SIGHT} - {asked}
    out = {*ruled_out(anomalies), *unseen}
    left = [level for level in LEVELS if level not in out]
    return tuple(
        level
        for place, level in enumerate(left)
        if not any(PROSCRIBED[level] < PROSCRIBED[other] for other in left)
        and not any(PROSCRIBED[level] == PROSCRIBED[other] for other in left[place + 1 :])
    )
