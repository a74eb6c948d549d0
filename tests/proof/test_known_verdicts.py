"""Drills whose verdict is known, each on a cluster of its own: minutes, so run by hand with ``make proof``."""

from __future__ import annotations

import pytest
from program import USERS, outlast

PASS, FAIL = 0, 1

KNOWN = [
    ("primary-power-off", PASS),
    ("primary-power-off --profile fast --set sync=quorum", PASS),
    ("primary-rejoin --profile fast", PASS),
    ("standby-power-off", PASS),
    ("switchover", PASS),
    ("dcs-leader-kill", PASS),
    ("primary-partition --set sync=off", FAIL),
    ("primary-partition --set sync=strict", PASS),
    ("manager-kill --set sync=off --set watchdog=off", FAIL),
    ("manager-kill --set sync=on --set watchdog=on", PASS),
    ("candidate-behind", PASS),
    ("primary-power-off --system streaming", PASS),
    ("primary-partition --system streaming --profile fast", PASS),
    ("frozen-primary --system streaming --profile fast", PASS),
    ("primary-power-off --system pgpool", PASS),
    ("switchover --system pgpool --profile fast", PASS),
    (
        "switchover --system pgpool --profile fast --set pgpool.failover_command=promote-only --set sync=off "
        "--set recovery=15s --route libpq",
        FAIL,
    ),
]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("words", "code"), KNOWN, ids=[words for words, _ in KNOWN])
def test_the_verdict_is_as_known(words: str, code: int, user: str) -> None:
    done = outlast("drill", *words.split(), "--json", user=user, timeout_s=300)
    assert done.code == code, done.out or done.err
    run = done.json
    assert run["acked"] > 1000
    assert all(fault["effective"] and fault["healed_s"] is not None for fault in run["faults"])
    if code == FAIL:
        assert run["acked_lost"] > 0 or run["two_writers_s"] > 0
        lost = next(check for check in run["checks"] if check["name"] == "lost_writes")
        assert all(one["details"]["node"] for one in lost["evidence"])
    assert outlast("ls", "labs", "--json", user=user).json == {"labs": []}
