"""The core agrees with the scenarios of etcd's raft, and with our own golden transcripts in the same language.

RAFTLOG_CONFORMANCE names the folder of etcd's scenarios; without it, shared/conformance is looked for above
this repository. They are read where they lie and never copied.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from skips import cannot_mark

from raftlog.core.log import RaftLog
from raftlog.testing import conformance

GOLDEN = Path(__file__).parent / "transcripts"


def find_scenarios() -> Path | None:
    named = os.environ.get("RAFTLOG_CONFORMANCE")
    if named:
        return Path(named)
    above = (parent / "shared" / "conformance" for parent in Path(__file__).resolve().parents)
    return next((folder for folder in above if folder.is_dir()), None)


SCENARIOS = find_scenarios()
FILES = sorted(SCENARIOS.rglob("*.txt")) if SCENARIOS else []


@cannot_mark(not FILES, "no conformance scenarios: set RAFTLOG_CONFORMANCE to their folder")
@pytest.mark.parametrize(
    "path", FILES or [Path("absent/scenarios.txt")], ids=lambda path: f"{path.parent.parent.name}-{path.stem}"
)
def test_core_agrees_with_etcd_scenario(path: Path) -> None:
    assert list(map(str, conformance.run_file(path))) == []


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_core_agrees_with_golden_transcript(path: Path) -> None:
    assert list(map(str, conformance.run_file(path))) == []


def test_runner_says_where_a_scenario_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RaftLog, "try_commit", lambda self, index, term: False)
    (mismatch,) = conformance.run_file(GOLDEN / "transfer.txt")
    assert "transfer.txt:" in str(mismatch)
    assert "  - " in str(mismatch)
    assert "  + " in str(mismatch)


def test_runner_without_a_scenario_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert conformance.main([]) == 64
    assert "usage" in capsys.readouterr().err


def test_a_command_without_its_outcome_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        list(conformance.parse("# comment\ncampaign 1\n"))
