"""What a failover now would lose, by the words of a primary alone, and why. Pure.

A commit is acknowledged when those standbys have it that synchronous_standby_names and synchronous_commit name, so
they decide, not the lag. Source: PostgreSQL manual, "Synchronous Replication".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from outlast.systems.postgres.inspection import SeenStandby, Survey

WAITED_FOR: Final = ("sync", "quorum")
"""States of a standby that commits wait for, alone or with others."""

_WAITING: Final = ("on", "remote_write", "remote_apply")


@dataclass(frozen=True, slots=True)
class ExpectedLoss:
    """What would be lost if the primary died now and ``to`` were promoted.

    bytes: of WAL that it has not received; seconds: how far back that is, 0.0 for nothing, None when it cannot be
    told. acked_safe: whether every acknowledged commit would be there. why: the reason, in a sentence.
    """

    to: str | None
    bytes: int | None
    seconds: float | None
    acked_safe: bool
    why: str


def failovers(looks: Sequence[Survey], wal_bytes_per_s: float | None) -> tuple[ExpectedLoss, ...]:
    """Return what promoting each standby of a primary would lose, the least first: the worst of several looks."""
    worst: dict[str, ExpectedLoss] = {}
    for primary in looks:
        for standby in primary.standbys:
            if standby.state is None:
                continue  # this user is not shown it
            loss = _loss(primary, standby, wal_bytes_per_s)
            known = worst.get(standby.name)
            if known is None or (known.acked_safe, -(known.bytes or 0)) > (
                loss.acked_safe,
                -(loss.bytes or 0),
            ):
                worst[standby.name] = loss
    return tuple(
        sorted(worst.values(), key=lambda loss: (not loss.acked_safe, loss.bytes is None, loss.bytes or 0))
    )


def best(primary: Survey, losses: Sequence[ExpectedLoss]) -> ExpectedLoss:
    """Return the least loss that a failover now could have, with the reason when there is nowhere to go."""
    if losses:
        return losses[0]
    if primary.standbys:
        why = "this user is not shown the standbys' positions: GRANT pg_monitor TO it"
    else:
        why = "no standby is connected: without the primary there is only what backups hold"
    return ExpectedLoss(None, None, None, False, why)


def _loss(primary: Survey, standby: SeenStandby, rate: float | None) -> ExpectedLoss:
    missing = None if standby.flushed is None else max(0, primary.received - standby.flushed)
    if missing == 0:
        seconds: float | None = 0.0
    elif standby.flush_lag_s is not None:
        seconds = round(standby.flush_lag_s, 6)
    else:
        seconds = round(missing / rate, 3) if missing is not None and rate else None
    safe, why = _safety(primary, standby)
    return ExpectedLoss(standby.name, missing, seconds, safe, why)


def _safety(primary: Survey, standby: SeenStandby) -> tuple[bool, str]:
    commit = primary.settings.get("synchronous_commit", "")
    names = primary.settings.get("synchronous_standby_names", "")
    if standby.state != "streaming":
        return False, f"it does not stream but is in state {standby.state}"
    if not names:
        return False, "commits wait for no standby (synchronous_standby_names is empty)"
    if commit not in _WAITING:
        return False, f"commits do not wait (synchronous_commit = {commit}), though standbys are named"
    if standby.sync not in WAITED_FOR:
        return False, f"commits do not wait for it (it is {standby.sync}), but for another"
    if standby.sync == "quorum" and sum(standby.sync == "quorum" for standby in primary.standbys) > _quorum(
        names
    ):
        return False, f"commits wait for {_quorum(names)} of several ({names}), and it need not be among them"
    if primary.own_commit:
        return False, f"commits wait for it, but not all: {'; '.join(primary.own_commit)}"
    if commit == "remote_write":
        return True, "commits wait until it has written them; lost if it loses its power too (remote_write)"
    return True, f"commits wait for it (synchronous_commit = {commit}); what is missing was not acknowledged"


def _quorum(names: str) -> int:
    """Return k of ``ANY k (…)``; 1 when that is not how it is written."""
    words = names.replace("(", " ").split()
    numbers = [int(word) for word in words[:2] if word.isdecimal()]
    return numbers[0] if numbers else 1
