"""What the soak's command refuses, before it makes anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.cli.main import run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--duration", "30"], "--duration: must be at least 60 s"),
        (["--duration", "soon"], "no duration"),
        (["--failover-interval", "2"], "--failover-interval"),
        (["--system", "patroni", "--config", "x.yaml"], "say the same"),
        (["--lab", "x", "--profile", "fast"], "--lab takes the lab as it is"),
        (["--lab", "x", "--set", "sync=off"], "--lab takes the lab as it is"),
        (["--system", "nonsense"], "nonsense"),
        (["--set", "nonsense=1"], "nonsense"),
        (["--lab", "nowhere"], "no lab"),
        (["--set", "duration=5s"], "is the soak's own"),
        (["--set", "checks.nonsense=5"], "there is no check nonsense"),
        (["--set", "checks.replay_lag_s=fast"], "checks.replay_lag_s"),
        (["--set", "checks.read_errors=0.5"], "is a whole number"),
        (["--system", "etcd"], "etcd has no PostgreSQL servers"),
    ],
)
def test_bad_usage_is_refused_by_name_and_nothing_is_made(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "logs"
    assert run(["soak", "--log-dir", str(logs), *words]) == 64
    assert said in capsys.readouterr().err
    assert not logs.exists()
