"""Which anomalies each consistency level rules out.

    read-uncommitted       G0, duplicate-elements, reordered-appends, garbage-read
    read-committed         read-uncommitted, G1a, G1b, G1c, dirty-update, incompatible-order, cyclic-versions,
                           future-read
    repeatable-read        read-committed, internal, lost-update, G-single, G-nonadjacent, G2-item,
                           no-snapshot-order, no-serial-order
    snapshot-isolation     read-committed, internal, lost-update, G-single, G-nonadjacent, no-snapshot-order
    serializable           repeatable-read and snapshot-isolation
    strict-serializable    serializable, and each cycle, and no-serial-order, also with process (-process) or
                           real-time (-realtime) edges

repeatable-read is Adya's PL-2.99, not SQL's: every cycle of item dependencies is out, and since our reads
name their keys, every cycle we find is one. read-uncommitted and read-committed are his PL-1 and PL-2,
serializable is PL-3. snapshot-isolation is the generalized one: a snapshot may be old; cycles without two
adjacent anti-dependencies are out. garbage-read (a value that nobody wrote) is of no level in Adya, whose
histories cannot hold one; it is out everywhere here.

Sources: Adya, "Weak Consistency" (MIT 1999); Adya, Liskov, O'Neil, "Generalized Isolation Level Definitions"
(ICDE 2000); Cerone and Gotsman, "Analysing Snapshot Isolation" (PODC 2016); Bailis et al., "Highly Available
Transactions" (VLDB 2013), for lost update; Elle, consistency_model.clj, for dirty-update, incompatible-order
and internal.
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
_SNAPSHOT = _READ_COMMITTED | {"internal", "lost-update", "G-single", "G-nonadjacent", "no-snapshot-order"}
_REPEATABLE_READ = _SNAPSHOT | {"G2-item", "no-serial-order"}
_SERIALIZABLE = _REPEATABLE_READ | _SNAPSHOT
_STRICT = (
    _SERIALIZABLE
    | {"no-serial-order-realtime"}
    | {cycle + variant for cycle in CYCLES for variant in VARIANTS}
)

PROSCRIBED: Final[dict[str, frozenset[str]]] = {
    "read-uncommitted": _READ_UNCOMMITTED,
    "read-committed": _READ_COMMITTED,
    "repeatable-read": _REPEATABLE_READ,
    "snapshot-isolation": _SNAPSHOT,
    "serializable": _SERIALIZABLE,
    "strict-serializable": _STRICT,
}
"""The anomalies that may not occur, by level, weakest first."""

LEVELS: Final = tuple(PROSCRIBED)

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


def split_variant(cycle: str) -> tuple[str, str]:
    """Return (base, variant): ``G0-process`` is ("G0", "-process")."""
    for variant in VARIANTS[1:]:
        if cycle.endswith(variant):
            return cycle.removesuffix(variant), variant
    return cycle, ""


def ruled_out(anomalies: Iterable[str]) -> tuple[str, ...]:
    """Return the levels that cannot hold where these anomalies were found, weakest first."""
    names = frozenset(anomalies)
    return tuple(level for level in LEVELS if names & PROSCRIBED[level])


def strongest(anomalies: Iterable[str]) -> tuple[str, ...]:
    """Return the strongest levels that still may hold; two when neither implies the other; none when even
    read-uncommitted is out."""
    out = ruled_out(anomalies)
    left = [level for level in LEVELS if level not in out]
    return tuple(
        level
        for place, level in enumerate(left)
        if not any(PROSCRIBED[level] < PROSCRIBED[other] for other in left)
        and not any(PROSCRIBED[level] == PROSCRIBED[other] for other in left[place + 1 :])
    )
