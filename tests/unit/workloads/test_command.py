"""Programs as loads: what they are told, what they tell, and how they end."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import pytest

from outlast.checkers.base import Verdict
from outlast.checkers.command import CommandEnded
from outlast.checkers.outage import Outage
from outlast.errors import ConfigError
from outlast.history.history import History
from outlast.history.op import Outcome
from outlast.history.reading import read_ops
from outlast.workloads import WORKLOADS, WorkerConfig
from outlast.workloads.base import OwnProgram, with_defaults
from outlast.workloads.own_program import ProgramWorker, environment

DSN = "host=10.0.0.1,10.0.0.2 port=5432,5433 dbname=appdb user=app target_session_attrs=read-write"


def config(tmp_path: Path, *argv: str, workload: str = "command") -> WorkerConfig:
    return WorkerConfig(
        "load", str(tmp_path / "ops"), DSN, 1, workload, argv=argv, passfile="/p", drain_s=1.0
    )


def ran(tmp_path: Path, script: str, *, stop_after_s: float | None = None) -> History:
    runner = ProgramWorker(config(tmp_path, sys.executable, "-u", "-c", script))
    timer = threading.Timer(stop_after_s, runner.stop) if stop_after_s is not None else None
    if timer is not None:
        timer.start()
    runner.run()
    return History(read_ops(tmp_path / "ops"))


def ended(history: History) -> tuple[Verdict, str]:
    finding = CommandEnded().check(history, 0)
    return finding.verdict, finding.summary


def test_the_way_to_the_primary_is_in_the_environment_and_no_password() -> None:
    told = environment(WorkerConfig("load", "", DSN, 1, passfile="/lab/pass file"))
    assert told["PGHOST"] == "10.0.0.1,10.0.0.2"
    assert told["PGPORT"] == "5432,5433"
    assert told["PGTARGETSESSIONATTRS"] == "read-write"
    assert told["PGPASSFILE"] == "/lab/pass file"
    assert told["DATABASE_URL"] == (
        "postgresql://app@10.0.0.1:5432,10.0.0.2:5433/appdb?target_session_attrs=read-write&passfile=%2Flab%2Fpass%20file"
    )


def test_lines_that_tell_of_operations_are_recorded(tmp_path: Path) -> None:
    history = ran(
        tmp_path, "print('starting'); print('ok'); print('ok 3 ms'); print('error: gone'); print('okay')"
    )
    verdict, summary = ended(history)
    assert verdict is Verdict.PASS
    assert "2 operations done and 1 failed" in summary


def test_a_program_that_fails_fails_with_its_last_words(tmp_path: Path) -> None:
    verdict, summary = ended(ran(tmp_path, "import sys; print('ok'); sys.exit('no such table')"))
    assert verdict is Verdict.FAIL
    assert "exit code 1: no such table" in summary


def test_a_program_that_is_not_there_fails(tmp_path: Path) -> None:
    ProgramWorker(config(tmp_path, "/nowhere/load")).run()
    verdict, summary = ended(History(read_ops(tmp_path / "ops")))
    assert verdict is Verdict.FAIL
    assert "/nowhere/load" in summary


def test_a_program_that_lives_until_it_is_asked_to_end_passes(tmp_path: Path) -> None:
    script = "import time\nwhile True: print('ok'); time.sleep(0.05)"
    history = ran(tmp_path, script, stop_after_s=0.7)
    assert ended(history)[0] is Verdict.PASS
    assert Outage("command", 5.0, lasting=False).check(history, 0).verdict is Verdict.PASS


def test_a_program_that_does_not_end_when_asked_is_killed_and_fails(tmp_path: Path) -> None:
    script = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ok')\ntime.sleep(60)"
    verdict, summary = ended(ran(tmp_path, script, stop_after_s=0.5))
    assert verdict is Verdict.FAIL
    assert f"exit code {-signal.SIGKILL}" in summary


@pytest.mark.parametrize("given", [{}, {"argv": "python x.py"}, {"argv": []}, {"argv": ["x"], "speed": 3}])
def test_a_command_that_is_none_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"workload\.command\."):
        with_defaults(WORKLOADS["command"], given)


def test_a_second_of_pgbench_with_transactions_is_an_operation_done() -> None:
    pgbench = WORKLOADS["pgbench"]
    assert isinstance(pgbench, OwnProgram)
    heard = pgbench.heard
    assert heard("progress: 1.0 s, 812.3 tps, lat 1.2 ms stddev 0.3, 0 failed") is Outcome.OK
    assert heard("progress: 2.0 s, 0.0 tps, lat 0.000 ms stddev 0.000") is Outcome.FAIL
    assert heard("starting vacuum...end.") is None
