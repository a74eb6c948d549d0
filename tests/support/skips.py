"""Why a test skips: for lack of what this project's own commands bring, or for what this machine cannot do.

The first kind fails where a run must be complete: ``.ci/run`` sets ``OUTLAST_TESTS_COMPLETE``. Every skip goes through
this module.
"""

from __future__ import annotations

import pytest

from outlast.systems.programs import missing

COMPLETE = "OUTLAST_TESTS_COMPLETE"
LACKING = "not provided: "
"""How the reasons of the first kind begin."""


def needs(*programs: str) -> pytest.MarkDecorator:
    """Mark tests that need programs which ``make systems`` installs."""
    return unless(missing(*programs))


def unless(lack: str | None) -> pytest.MarkDecorator:
    """Mark tests that need what ``make systems`` or root provides; lack: why it is not there, None when it is."""
    return pytest.mark.skipif(bool(lack), reason=f"{LACKING}{lack}")


def require(lack: str | None) -> None:
    """Skip the running test when something that ``make systems`` or root provides is lacking."""
    if lack:
        pytest.skip(f"{LACKING}{lack}")


def cannot(reason: str | None) -> None:
    """Skip the running test when this machine, or the system under test, cannot have what it needs."""
    if reason:
        pytest.skip(reason)


def cannot_mark(condition: bool, reason: str) -> pytest.MarkDecorator:
    """Mark tests that this machine cannot run while the condition holds."""
    return pytest.mark.skipif(condition, reason=reason)


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return why a report says skipped, without pytest's own word before it."""
    _path, _line, words = (
        report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, str(report.longrepr))
    )
    return words.removeprefix("Skipped: ")
