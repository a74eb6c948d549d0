"""The same drill on several systems, from outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from program import outlast

QUICK = """
name: quick
workload: {append: {clients: 8, rate: 100/s}}
timeline:
  - {at: 1s, fault: process_kill, on: primary}
duration: 6s
"""


@pytest.mark.slow
def test_a_matrix_sets_systems_side_by_side_and_says_why_one_is_left_out(tmp_path: Path) -> None:
    drill = tmp_path / "quick.yaml"
    drill.write_text(QUICK)
    words = ("--systems", "patroni,etcd", "--drills", str(drill), "--profiles", "fast", "--seed", "3")
    ran = outlast("matrix", *words, "--json")
    assert ran.code == 0, ran.err
    shown = ran.json
    assert (shown["verdict"], shown["complete"], len(shown["drills"])) == ("pass", True, 1)
    measured, skipped = shown["cells"]
    assert (measured["system"], measured["runs"], measured["acked_lost"]) == ("patroni", 1, 0)
    assert 0 < measured["outage_s"]["median"] <= measured["model"]["outage_s"]
    assert (skipped["verdict"], skipped["outage_s"]) == ("skipped", None)
    assert "etcd" in skipped["reason"]
    again = outlast("report", shown["store"], "--json")
    assert again.json == shown
    told = outlast("report", Path(shown["store"]).name)
    assert "within" not in told.err
    assert "PASS  1 runs a cell" in told.out
    assert outlast("ls", "labs", "--json").json == {"labs": []}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--systems", "patroni,nonsense"], "nonsense"),
        (["--drills", "nonsense"], "nonsense"),
        (["--profiles", "slow"], "slow"),
        (["--systems", "patroni,,etcd"], "commas"),
        (["--systems", "patroni,patroni"], "twice"),
        (["--runs", "0"], "0"),
    ],
)
def test_bad_usage_is_refused_before_a_lab_is_made(words: list[str], message: str) -> None:
    done = outlast("matrix", *words)
    assert (done.code, done.out) == (64, ""), done.err
    assert message in done.err
    assert "Traceback" not in done.err
