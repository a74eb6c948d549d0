"""A drill that cannot run is refused before anything is made of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from outlast.config import DrillSpec, WorkloadSpec, load_cluster
from outlast.errors import ConfigError, UnavailableError
from outlast.run.prepare import plan_drill, prepare_drill


def drill(workload: str, **values: Any) -> DrillSpec:
    return DrillSpec(
        name="none",
        title="None",
        workload={workload: WorkloadSpec(name=workload)},
        duration_s=1,
        **values,
    )


def test_a_workload_that_does_not_exist_is_refused_before_there_is_a_lab() -> None:
    with pytest.raises(ConfigError, match="no workload no-such"):
        plan_drill(drill("no-such"), None)


def test_a_check_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match="no check no_such") as caught:
        plan_drill(drill("append", checks={"no_such": 1}), None)
    assert "acked_lost" in (caught.value.hint or "")


def test_a_drill_is_refused_on_a_cluster_without_what_it_needs() -> None:
    planned = plan_drill(drill("append"), None)
    cluster = cast(Any, SimpleNamespace(spec=load_cluster("raftlog")))
    with pytest.raises(UnavailableError, match="needs PostgreSQL servers, which raftlog lacks"):
        prepare_drill(planned, cluster)
