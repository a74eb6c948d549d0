"""Mixed chaos on a Raft group, seed after seed, on one lab: nothing acknowledged is ever lost.

OUTLAST_SEEDS says how many (50, half a minute each), OUTLAST_FIRST_SEED where to begin.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from program import outlast

SEEDS = int(os.environ.get("OUTLAST_SEEDS", "50"))
FIRST = int(os.environ.get("OUTLAST_FIRST_SEED", "1"))


@pytest.mark.timeout(120 * SEEDS + 120)
def test_no_seed_loses_an_acknowledged_message(tmp_path: Path) -> None:
    up = outlast("up", "raftlog", "--name", "seeds", "--set", "ports={}")
    assert up.code == 0, up.err
    bad = []
    try:
        for seed in range(FIRST, FIRST + SEEDS):
            words = ("chaos", "members", "--lab", "seeds", "--duration", "20s", "--seed", str(seed))
            done = outlast(*words, "--log", str(tmp_path), "--json", timeout_s=300)
            run = done.json["drills"][0] if done.out else {}
            if run.get("verdict") != "pass" or run["acked_lost"] != 0 or not run["acked"]:
                bad.append((seed, run.get("verdict"), run.get("acked_lost"), done.err[-300:]))
    finally:
        outlast("down", "--lab", "seeds")
    assert not bad
