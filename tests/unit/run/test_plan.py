"""A plan is decided before anything is touched, and only by the drill and its seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.config import DrillSpec, load_drill
from outlast.errors import ConfigError
from outlast.run.plan import make_plan, step_rng


def drill(tmp_path: Path, timeline: str) -> DrillSpec:
    file = tmp_path / "drill.yaml"
    file.write_text(f"workload: {{append: {{}}}}\nduration: 10s\ntimeline:\n{timeline}")
    return load_drill(str(file))


def test_steps_come_in_order_of_time_and_repeated_ones_are_written_out(tmp_path: Path) -> None:
    plan = make_plan(
        drill(
            tmp_path,
            "  - {at: 4s, fault: host_power_off, on: primary, heal: 1s}\n"
            "  - {at: 1s, every: 3s, fault: process_kill, on: one-standby}\n",
        )
    )
    assert [(step.at_s, step.fault) for step in plan] == [
        (1, "process_kill"),
        (4, "host_power_off"),
        (4, "process_kill"),
        (7, "process_kill"),
    ]
    assert plan[0].params == {"process": "postgres"}


def test_what_an_operator_does_is_planned_and_over_at_once(tmp_path: Path) -> None:
    (step,) = make_plan(drill(tmp_path, "  - {at: 1s, action: switchover}\n"))
    assert (step.fault, step.on, step.heal) == ("switchover", "primary", 0.0)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{at: 1s, fault: no_such_fault, on: primary}", "no_such_fault"),
        ("{at: 1s, fault: process_kill, on: primary, params: {proces: etcd}}", "proces"),
        ("{at: 1s, action: reseed}", "reseed"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_its_place(tmp_path: Path, entry: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        make_plan(drill(tmp_path, f"  - {entry}\n"))
    assert caught.value.key == "timeline.0"
    assert caught.value.hint


def test_each_step_has_choices_of_its_own_that_repeat() -> None:
    first = [step_rng(7, 0).random() for _ in range(3)]
    assert first == [first[0]] * 3
    assert step_rng(7, 1).random() != first[0] != step_rng(8, 0).random()
