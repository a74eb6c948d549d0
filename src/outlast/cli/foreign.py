"""``outlast status --dsn``: a look at a cluster that we did not make, for a person or as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from outlast.cli.output import OUT, print_json, say, table
from outlast.clusters.failover_cost import ExpectedLoss
from outlast.clusters.foreign_cluster import ForeignCluster, look
from outlast.report.literal import literal_text

if TYPE_CHECKING:
    from outlast.history.history import JSON


async def status_of(dsn: str, *, as_json: bool) -> int:
    """Print a cluster behind a connection string; returns 0 when it has one primary and all of it is well, else 1."""
    found = await look(dsn)
    if as_json:
        print_json(document(found))
    else:
        _tell(found)
    return 0 if found.ready else 1


def document(found: ForeignCluster) -> dict[str, JSON]:
    """Return it in the shape of ``status --json``, with fields of its own after."""
    nodes: list[JSON] = [asdict(node) for node in found.nodes]
    losses: list[JSON] = [_loss(loss) for loss in found.failovers]
    asked: list[JSON] = list(found.asked)
    remarks: list[JSON] = list(found.remarks)
    slots: list[JSON] = [asdict(slot) for slot in found.slots]
    return {
        "lab": None,
        "system": "postgresql",
        "runtime": None,
        "profile": None,
        "ready": found.ready,
        "missing": found.missing,
        "primary": found.primary,
        "nodes": nodes,
        "balancers": [],
        "routes": [],
        "asked": asked,
        "versions": dict(found.versions),
        "slots": slots,
        "settings": dict(found.settings),
        "wal_bytes_per_s": found.wal_bytes_per_s,
        "failover": _loss(found.failover),
        "failovers": losses,
        "remarks": remarks,
    }


def _loss(loss: ExpectedLoss) -> dict[str, JSON]:
    return {
        "to": loss.to,
        "loses_bytes": loss.bytes,
        "loses_s": loss.seconds,
        "acked_safe": loss.acked_safe,
        "why": loss.why,
    }


def _tell(found: ForeignCluster) -> None:
    say(f"{', '.join(found.asked)}: {'well' if found.ready else found.missing}")
    nodes = table("node", "role", "state", "timeline", "lag", "sync", "address")
    for node in found.nodes:
        nodes.add_row(
            literal_text(node.name),
            node.role,
            literal_text(node.state if node.healthy else f"{node.state} (!)"),
            str(node.timeline or ""),
            "" if node.lag_bytes is None else f"{node.lag_bytes} B",
            node.sync or "",
            literal_text(f"{node.address}:{node.port}" if node.port else node.address),
        )
    OUT.print(nodes)
    if found.slots:
        slots = table("slot", "kind", "active", "holds back", "state")
        for slot in found.slots:
            held = "" if slot.retained_bytes is None else f"{slot.retained_bytes} B"
            slots.add_row(
                literal_text(slot.name), slot.kind, str(slot.active).lower(), held, slot.wal_status or ""
            )
        OUT.print(slots)
    say("; ".join(f"{name} = {value}" for name, value in found.settings.items() if value))
    say(f"a failover now: {_words(found.failover)}")
    for loss in found.failovers[1:]:
        say(f"           or: {_words(loss)}")
    for remark in found.remarks:
        say(f"note: {remark}")


def _words(loss: ExpectedLoss) -> str:
    if loss.to is None:
        return loss.why
    amount = "an unknown amount" if loss.bytes is None else f"{loss.bytes} B when looked at"
    age = "" if loss.seconds is None else f", {loss.seconds:g} s"
    promise = "loses nothing acknowledged" if loss.acked_safe else f"may lose writes ({amount}{age})"
    return f"to {loss.to} {promise}: {loss.why}"
