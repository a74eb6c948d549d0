"""``outlast validate``: whether a cluster or drill file makes sense, and what it describes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from outlast.cli.options import json_option
from outlast.cli.output import print_json, say
from outlast.clusters.system_registry import system
from outlast.config import DrillSpec, load_any, load_cluster
from outlast.errors import ConfigError

if TYPE_CHECKING:
    from outlast.history.history import JSON


@click.command()
@click.argument("file")
@json_option
def validate(file: str, as_json: bool) -> None:
    """Check a cluster or drill file, and say what it describes; nothing is made."""
    found = load_any(file)
    if isinstance(found, DrillSpec):
        # Here: operating a cluster needs none of it.
        from outlast.routes.registry import with_route
        from outlast.run.prepare import plan_drill

        own = found.cluster.preset
        cluster = with_route(load_cluster(own or "patroni", needs=found.cluster), found.route)
        plan_drill(found, cluster if own else None)
        described: dict[str, JSON] = {"kind": "drill", "name": found.name, "duration_s": found.duration_s}
        words = f"drill {found.name}: {len(found.timeline)} entries in {found.duration_s:g} s"
    else:
        for one in found:
            if illegal := system(one.system).illegal(one):
                raise ConfigError(illegal, file=file)
        described = {
            "kind": "cluster",
            "clusters": [{"name": one.name, "system": one.system} for one in found],
        }
        words = "; ".join(f"cluster {one.name}: {one.system}, {len(one.nodes)} nodes" for one in found)
    if as_json:
        print_json({"file": file, "valid": True, **described})
    else:
        say(f"{file}: {words}")


COMMANDS: Final = (validate,)
