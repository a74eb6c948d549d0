"""Which standby may be promoted, and whom commits wait for: pure, for whoever decides.

Kept to small modules, because Pgpool-II's failover command starts anew for every call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from outlast.errors import ClusterError


@dataclass(frozen=True, slots=True, order=True)
class Held:
    """How much of the history a standby holds: bytes of WAL received, on a timeline."""

    timeline: int
    lsn: int


def choose(
    held: Mapping[str, Held], waits_for: Sequence[str], candidates: Sequence[str], target: str | None
) -> str:
    """Return the standby to promote: target, else the one of candidates that holds most.

    held: what each standby that answers holds. waits_for: one of these holds every acknowledged write, so all of
    them must have answered, and the one to promote must hold as much as the best of them. Raises ClusterError
    when no choice is safe.
    """
    unheard = [name for name in waits_for if name not in held]
    if unheard:
        raise ClusterError(
            f"{', '.join(unheard)} may hold acknowledged writes that no other standby has, and does not answer",
            hint="bring it back first: outlast status",
        )
    if target is None:
        there = [name for name in candidates if name in held]
        if not there:
            raise ClusterError("there is no standby to promote", hint="outlast status")
        target = max(there, key=lambda name: (held[name], -candidates.index(name)))
    elif target not in held:
        raise ClusterError(f"{target} does not answer as a standby", hint="outlast status")
    best = max((held[name] for name in waits_for), default=held[target])
    if held[target] < best:
        raise ClusterError(
            f"{target} lacks writes that were acknowledged: {best.lsn - held[target].lsn} bytes"
        )
    return target


def synchronous_standby_names(sync: str, standbys: Iterable[str]) -> str:
    """Return the setting by which a commit waits for one of the standbys; "" where it waits for nobody."""
    names = ", ".join('"' + name + '"' for name in standbys)
    if sync == "off" or not names:
        return ""
    return f"{'ANY' if sync == 'quorum' else 'FIRST'} 1 ({names})"
