"""The pages on extending it do what they say. (Faults, checkers and workloads meet real ones in their own suites.)"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from random import Random
from types import ModuleType, SimpleNamespace
from typing import Any, cast, get_args

import pytest

from outlast.checkers.base import Verdict
from outlast.cli.options import route_option
from outlast.config import load_cluster, load_drill
from outlast.config.drill import RouteName
from outlast.routes.registry import ROUTES
from outlast.run.checks import Terms, make_checkers
from outlast.run.plan import make_plan
from outlast.suites.suite import Stage
from outlast.systems.base import CAPABILITIES, ClusterView, NodeView, Role
from outlast.workloads.base import Options, with_defaults

PAGES = Path(__file__).parents[2] / "docs/extending"


def block(page: str, kind: str) -> str:
    """Return the one block of a kind that a page has."""
    (found,) = re.findall(rf"```{kind}\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


@contextmanager
def module_of(page: str) -> Iterator[Any]:
    """Give the page's code as a module for the length of a with block."""
    module = ModuleType(page.removesuffix(".md").replace("-", "_"))
    sys.modules[module.__name__] = module
    try:
        exec(compile(block(page, "python"), page, "exec"), module.__dict__)
        yield module
    finally:
        del sys.modules[module.__name__]


def test_the_route_of_the_page_leads_to_one_server_only() -> None:
    with module_of("new-route.md") as page:
        spec = load_cluster("patroni")
        writes, reads = page.OneAddressRoute().views(spec, {})
    assert writes.name == "one-address-primary" and reads.name == "one-address-standby"
    assert spec.primary().address in writes.dsn
    assert not any(node.address in writes.dsn for node in spec.nodes if node.name != spec.primary().name)


def test_a_routes_name_is_known_to_drills_and_to_the_command_line() -> None:
    import click

    probe = click.Command("probe", params=[])
    route_option(probe)
    (choice,) = (one.type for one in probe.params)
    assert isinstance(choice, click.Choice)
    assert set(choice.choices) == set(get_args(RouteName)) >= set(ROUTES)


def test_the_workload_of_the_page_yields_ops_that_a_seed_repeats() -> None:
    with module_of("new-workload.md") as page:
        notes = page.Notes()
        options = Options(params=with_defaults(notes, {"length": 7}))
        first, again = (list(islice(notes.generator(3, Random(1), options), 5)) for _ in range(2))
    assert first == again
    assert len({call.value for call in first}) == 5
    assert all(len(call.params) == 2 and len(call.params[1]) == 7 for call in first)


def test_the_drill_of_the_page_can_be_planned_and_judged(tmp_path: Path) -> None:
    path = tmp_path / "short-pauses.yaml"
    path.write_text(block("new-drill.md", "yaml"))
    drill = load_drill(str(path))
    assert [step.at_s for step in make_plan(drill)] == [3.0, 12.0]
    assert make_checkers(Terms(drill, 30.0, 2, {}))


@pytest.mark.parametrize("primaries, verdict", [(1, Verdict.PASS), (2, Verdict.FAIL), (0, Verdict.FAIL)])
async def test_the_check_of_the_page_counts_primaries(primaries: int, verdict: Verdict) -> None:
    roles = [Role.PRIMARY] * primaries + [Role.STANDBY] * (3 - primaries)
    nodes = tuple(NodeView(f"n{at}", role, "", 1, None, "", True) for at, role in enumerate(roles))

    async def view() -> ClusterView:
        return ClusterView(True, None, nodes)

    with module_of("new-drill.md") as page:
        (check,) = page.CHECKS
        assert set(check.needs) <= set(CAPABILITIES)
        (finding,) = await check.run(Stage(cast(Any, SimpleNamespace(view=view)), 1, lambda _words: None))
    assert finding.verdict is verdict


def test_the_page_on_systems_names_every_capability() -> None:
    named = set(re.findall(r"`([\w-]+)`", (PAGES / "new-system.md").read_text(encoding="utf-8")))
    assert set(CAPABILITIES) <= named
