"""A page is made of whatever a run has left: nothing at all, no final read, a store of an older version."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from histories import Row, Story, fault, seen, steady
from pages import partition_history, stored_run

from outlast.errors import ConfigError
from outlast.history.history import FinalRead, History
from outlast.history.op import Outcome
from outlast.history.sketch import sketch
from outlast.history.store import load_run
from outlast.report.html import page_of, write_page
from outlast.report.html.axes import Scale, TimeFrame, nice_ticks, step_area, time_ticks
from outlast.report.html.embedded_files import OPS_MAX, _chosen
from outlast.report.html.losses import loss_groups
from outlast.report.html.narrative import story
from outlast.report.html.nodes import stretches
from outlast.report.html.series import OpTimes, op_times, series


def page(folder: Path) -> str:
    return page_of([(load_run(folder), folder)])


@pytest.mark.parametrize(
    "history",
    [
        History(sketch("")),
        History(sketch("0 invoke write 1")),
        Story([]).history(final=False),
        Story(steady(0, 5)).history(final=False),
        Story(steady(0, 5), faults=[fault(2)]).history(),
        Story([Row(1, 1.0, -1, Outcome.INFO)], observations=[seen(0.5, "n1", "primary", 1)]).history(),
    ],
    ids=["nothing", "one open op", "no op", "no final read", "a fault", "nothing acked"],
)
def test_any_run_has_a_page(history: History, tmp_path: Path) -> None:
    text = page(stored_run(tmp_path / "run", history))
    assert text.count("<h1>") == 1
    assert "The run" in text


def test_a_store_without_the_newest_fields_is_read(tmp_path: Path) -> None:
    folder = stored_run(tmp_path / "run", partition_history())
    run = json.loads((folder / "run.json").read_text())
    run["observations"] = [row[:8] for row in run["observations"]]
    (folder / "run.json").write_text(json.dumps(run))
    assert "standby · timeline 2" in page(folder)


@pytest.mark.parametrize("name", ["", ".", "none/page.html"])
def test_a_file_that_cannot_be_written_is_named_and_nothing_stays(name: str, tmp_path: Path) -> None:
    folder = stored_run(tmp_path / "run", partition_history())
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="--html"):
        write_page(tmp_path / name, [(load_run(folder), folder)])
    assert sorted(tmp_path.iterdir()) == before


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    folder = stored_run(tmp_path / "run", partition_history())
    assert page(folder) == page(folder)


def test_no_path_of_the_machine_is_in_a_page_that_is_mailed(tmp_path: Path) -> None:
    assert str(tmp_path) not in page(stored_run(tmp_path / "run", partition_history()))


def test_losses_are_grouped_by_their_story() -> None:
    (group,) = loss_groups(partition_history())
    assert (group.node, group.timeline, group.cause) == ("pg-node-1", 1, "async")
    assert 4.0 <= group.first_s <= 4.1
    assert 6.9 <= group.last_s <= 7.1
    assert len(group.ops) == group.of_acked
    assert group.branched_at


def test_the_story_is_in_order_and_a_fault_precedes_what_comes_of_it() -> None:
    history = partition_history()
    told = story(history, loss_groups(history), (), 17.0)
    texts = [one.text for one in told]
    assert [round(one.at_s, 2) for one in told] == sorted(round(one.at_s, 2) for one in told)
    fault_at = next(i for i, text in enumerate(texts) if text.startswith("Fault"))
    loss_at = next(i for i, text in enumerate(texts) if "not there in the end" in text)
    assert fault_at < loss_at
    assert any(text == "pg-node-2 is primary, on timeline 2." for text in texts)


def test_a_node_that_restarts_as_primary_on_its_timeline_is_not_promoted() -> None:
    observations = [seen(at, "n1", "primary" if at != 3 else "", 1) for at in range(6)]
    history = Story(steady(0, 5), observations=observations).history()
    texts = [one.text for one in story(history, (), (), 6.0)]
    assert "n1 is primary again, on timeline 1." in texts
    assert [one.role for one in stretches(history, "n1", 6.0)] == ["primary", "silent", "primary"]


def test_buckets_hold_every_op_once_and_quantiles_are_real_latencies() -> None:
    rng = np.random.default_rng(3)
    rows = [Row(i, i * 0.01, float(rng.uniform(0.001, 0.02))) for i in range(1000)]
    times = op_times(Story(rows).history())
    found = series(times, 0.0, 11.0, 0.5)
    assert float((found.kept + found.lost + found.refused + found.unknown).sum() * 0.5) == 1000
    inside = times.latency_s[(times.end_s >= 1.0) & (times.end_s < 1.5)] * 1000
    assert found.latency_ms["max"][2] == pytest.approx(inside.max())
    assert found.latency_ms["p50"][2] == pytest.approx(np.sort(inside)[int(np.ceil(0.5 * len(inside))) - 1])


def test_of_very_many_ops_those_that_matter_are_kept() -> None:
    n = OPS_MAX * 3
    at = np.arange(n) / 1000
    lost = np.zeros(n, dtype=np.bool_)
    lost[1000:1500] = True
    outcome = np.zeros(n, dtype=np.uint8)
    outcome[::5000] = int(Outcome.INFO)
    times = OpTimes(at, at + 0.001, np.full(n, 0.001), outcome, lost)
    chosen = _chosen(times, [200.0])
    assert len(chosen) == OPS_MAX
    assert set(np.flatnonzero(lost)) <= set(chosen)
    assert set(np.flatnonzero(outcome)) <= set(chosen)
    assert {199_500, 200_500} <= set(chosen)
    assert (np.diff(chosen) > 0).all()


def test_axes_are_cut_at_round_values() -> None:
    assert nice_ticks(0, 66, 8) == [0, 10, 20, 30, 40, 50, 60]
    assert time_ticks(0, 1800, 8) == [0, 300, 600, 900, 1200, 1500, 1800]
    assert nice_ticks(5, 5, 3) == [5]


def test_a_step_area_is_drawn_where_it_has_height_only() -> None:
    frame, scale = TimeFrame(0, 10), Scale(0, 10)
    zero = np.zeros(10)
    assert step_area(frame, scale, 0, 1, zero, zero) == ""
    one = zero.copy()
    one[3] = 10
    assert step_area(frame, scale, 0, 1, one, zero) == "M30000 1000V0H40000V1000H30000Z"


def test_a_page_of_a_million_ops_is_small_and_soon_there(tmp_path: Path) -> None:
    from benchmarks.report import long_history

    folder = stored_run(tmp_path / "run", long_history(200_000), [])
    began = time.process_time()
    text = page(folder)
    assert time.process_time() - began < 5
    assert len(text) < 10_000_000


def test_lost_writes_of_another_workload_are_no_appends() -> None:
    history = partition_history()
    assert history.final is not None
    final: FinalRead = replace(history.final, values={"register": np.array([1], dtype=np.int64)})
    assert loss_groups(replace(history, final=final)) == ()
