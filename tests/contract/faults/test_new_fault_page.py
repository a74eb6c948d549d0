"""docs/extending/new-fault.md does what it says, tried on a real cluster as a stranger would."""

from __future__ import annotations

import random
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from outlast.faults import journal
from outlast.faults.base import with_defaults
from outlast.systems.base import Cluster
from outlast.systems.wait import wait_for, wait_until_ready

pytestmark = pytest.mark.lab


async def test_the_fault_of_the_page_bites_and_heals(cluster: Cluster) -> None:
    page = Path(__file__).parents[3] / "docs/extending/new-fault.md"
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    module = ModuleType("new_fault_page")
    exec(compile(block, str(page), "exec"), module.__dict__)
    kind: Any = module.FAULTS[0]
    await wait_until_ready(cluster, 90)
    assert kind.available(cluster) is None
    primary = (await cluster.view()).primary
    assert primary is not None
    stub = await kind.prepare(cluster, (primary,), with_defaults(kind, {}), random.Random(1))
    assert (await kind.effective(cluster, stub)).bit is False
    entry = await journal.inject(
        kind, cluster, (primary,), with_defaults(kind, {"size_kb": 96}), random.Random(1)
    )

    async def missing(wanted: bool) -> str:
        effect = await kind.effective(cluster, entry.injection)
        return "" if effect.bit is wanted else effect.words

    await wait_for(lambda: missing(True), 5, "the fault to show")
    await kind.heal(cluster, entry.injection)
    entry.remove()
    await wait_for(lambda: missing(False), 5, "the fault to go")
