"""A day's soak needs no more memory than half an hour's."""

from __future__ import annotations

import tracemalloc
from typing import Any, cast

from histories import s

from outlast.clusters.observation import Observer
from outlast.history.history import NodeObservation
from outlast.soak.director import OBSERVATIONS_A_NODE
from outlast.soak.validation import Counts, Validation
from outlast.systems.base import Cluster

NODES = [f"pg-node-{number}" for number in range(1, 7)]


def kept(duration_s: int) -> int:
    """Return how many observations of six nodes that never change are kept in so many seconds."""
    observer: Any = Observer(cast(Cluster, None), max(1.0, duration_s / OBSERVATIONS_A_NODE))
    for second in range(duration_s):
        for node in NODES:
            observer._note(NodeObservation(s(second), node, "node", "standby", 1, second))
            observer._note(NodeObservation(s(second), node, "replication", "", 0, 0, "streaming"))
    return len(observer.observations)


def test_a_day_keeps_about_as_many_observations_as_an_hour() -> None:
    assert kept(3600) <= kept(86400) <= 1.1 * kept(3600)


def test_the_validations_of_a_day_fit_into_a_few_megabytes() -> None:
    tracemalloc.start()
    looks: list[tuple[float, Validation]] = []
    halves = []
    for minute in range(1440):
        nodes = {
            name: Counts(minute, minute, 0, 0, str(minute * 10**18), str(minute * 10**17)) for name in NODES
        }
        looks.append((minute * 60.0, Validation("pg-node-1", nodes, 6, (), 0.1)))
        if minute % 720 == 719:
            halves.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert halves[1] - halves[0] < 1.2 * halves[0], "it grows evenly"
    assert halves[1] < 6e6
