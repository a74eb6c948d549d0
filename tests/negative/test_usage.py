"""Bad usage from outside: one clear error, exit 64, and no lab is made, not even for a moment."""

from __future__ import annotations

import pytest
from program import outlast


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["drill", "no-such-drill"], "no-such-drill"),
        (["up", "no-such-preset"], "no-such-preset"),
        (["up", "patroni", "--set", "sync=maybe"], "sync"),
        (["up", "patroni", "--set", "nodez=3"], "nodez"),
        (["up", "patroni", "--set", "dcs=2"], "dcs"),
        (["up", "patroni", "--name", "No Name"], "No Name"),
        (["up", "raftlog", "--set", "nodes=0"], "nodes"),
        (["drill", "postgres-kill", "--set", "checks.acked_list=0"], "acked_list"),
        (["suite", "failover", "--set", "checks.acked_list=0"], "acked_list"),
        (["matrix", "--drills", "postgres-kill", "--set", "checks.acked_list=0"], "acked_list"),
        (["status"], "no lab is up"),
        (["status", "--lab", "none"], "none"),
        (["down", "--lab", "none"], "none"),
        (["check", "/nowhere"], "nowhere"),
        (["report", "/etc/hostname"], "hostname"),
        (["ls", "nonsense"], "nonsense"),
        (["frobnicate"], "frobnicate"),
        (["up", "--nonsense"], "nonsense"),
        (["drill"], "NAME"),
    ],
)
def test_bad_usage_is_one_clear_error_and_makes_nothing(words: list[str], message: str) -> None:
    done = outlast(*words)
    assert done.code == 64, (done.out, done.err)
    assert message in done.err
    assert "Traceback" not in done.err
    assert "starting" not in done.err  # not after a lab was made, either
    assert done.out == ""
    assert outlast("ls", "labs", "--json").json == {"labs": []}
