"""What a soak costs, from samples of its programs."""

from __future__ import annotations

import pytest
from histories import s

from outlast.run.load import Usage, _usage
from outlast.soak.cost import MIB, MemoryFigures, Sample, cost_figures, own_usage
from outlast.soak.summary import _cost_lines


def sample(at: float, writer_s: float, reader_s: float, tool_mib: float = 80) -> Sample:
    return Sample(
        s(at),
        {
            "soak-writer": Usage(writer_s, 30 * MIB),
            "read-load-on-pg-node-4": Usage(reader_s, 25 * MIB),
            "read-load-on-pg-node-5": Usage(reader_s, 25 * MIB),
            "tool": Usage(1.0, int(tool_mib * MIB)),
        },
    )


def test_shares_are_of_one_core_since_the_start_and_clients_are_summed() -> None:
    figures = cost_figures([sample(50, 1, 1), sample(100, 2, 3)], s(0))
    assert figures.cpu_share == 0.08
    assert (figures.shares["writer"], figures.shares["readers"]) == (0.02, 0.06)
    assert figures.shares["tool"] == 0.01
    assert figures.memory["readers"] == MemoryFigures(50.0, 50.0, None)


def test_a_program_that_grows_has_a_slope_and_one_that_only_warms_up_has_none() -> None:
    minutes = range(60)
    grows = cost_figures([sample(60 * m, 0, 0, 80 + m / 6) for m in minutes], s(0))
    warms = cost_figures([sample(60 * m, 0, 0, 80 + min(m, 10)) for m in minutes], s(0))
    assert grows.memory["tool"].slope_mib_per_h == pytest.approx(10, abs=0.01)
    assert warms.memory["tool"].slope_mib_per_h == 0
    assert any("growing by 10 MiB an hour" in line for line in _cost_lines(grows))


def test_nothing_seen_is_told_as_that() -> None:
    figures = cost_figures([], s(0))
    assert figures.cpu_share is None
    assert _cost_lines(figures)[0] == "Writer and readers: none seen of a core"


def test_a_line_of_the_kernel_gives_time_and_memory_whatever_the_program_is_called() -> None:
    line = "42 (a ) b) S " + " ".join(["0"] * 10) + " 150 50 0 0 20 0 1 0 99 0 256 0"
    pid, usage = _usage(line)
    assert (pid, usage.cpu_s) == (42, 2.0)
    assert usage.rss_bytes % 256 == 0 and usage.rss_bytes > 256
    assert own_usage().rss_bytes > MIB
