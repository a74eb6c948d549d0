"""What `make` says is so: it ends with 0 when every test passed, and then alone."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTEST = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in *"{which}"*) {does} ;; esac
"""


def make(folder: Path, which: str, does: str) -> tuple[int, list[str]]:
    """Run `make test` with a pytest that does as told in one of its sessions; returns the exit code and all calls."""
    programs, calls = folder / "bin", folder / "calls"
    programs.mkdir()
    (programs / "pytest").write_text(PYTEST.format(calls=calls, which=which, does=does))
    (programs / "pytest").chmod(0o755)
    (programs / "python").write_text("#!/bin/sh\n")
    (programs / "python").chmod(0o755)
    done = subprocess.run(
        ["make", "-o", "check", "test", f"BIN={programs}"], cwd=ROOT, capture_output=True, check=False
    )
    return done.returncode, calls.read_text().splitlines()


def test_all_passing_is_success(tmp_path: Path) -> None:
    code, calls = make(tmp_path, "-q", "exit 0")
    assert code == 0
    assert len(calls) == 2


@pytest.mark.parametrize("session", ["not alone", "alone and"])
@pytest.mark.parametrize("does", [f"kill -{signal.SIGKILL.value} $$", "exit 1", "exit 2", "exit 5"])
def test_a_session_that_is_killed_or_fails_fails_the_run_and_is_not_tried_again(
    session: str, does: str, tmp_path: Path
) -> None:
    code, calls = make(tmp_path, session, does)
    assert code != 0
    assert len(calls) == 2
    assert not any("last-failed" in call for call in calls)
