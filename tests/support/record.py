"""What the sessions of one ``make test`` add up to: which tests skipped, and what took longest.

A pytest plugin that appends to the file that ``OUTLAST_TESTS_LOG`` names; as a program, it prints that file's sum.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter
from skips import COMPLETE, LACKING, reason_of

LOG = "OUTLAST_TESTS_LOG"
LONGEST = 20


def _fail_if_lacking(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip for lack of what our own commands bring into a failure, where the run must be complete."""
    if report.skipped and os.environ.get(COMPLETE) and reason_of(report).startswith(LACKING):
        report.outcome = "failed"
        report.longrepr = f"this run must be complete, and here is {reason_of(report)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_lacking(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_lacking(report)
    return report


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Append what this session skipped and how long each of its tests took, set-up and tear-down included."""
    path = os.environ.get(LOG)
    if not path:
        return
    took: defaultdict[str, float] = defaultdict(float)
    skipped = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                took[_name(report)] += report.duration
            if isinstance(report, pytest.TestReport | pytest.CollectReport) and report.skipped:
                skipped[_name(report)] = reason_of(report)
    with Path(path).open("a") as file:
        file.write(json.dumps({"took_s": took, "skipped": skipped}) + "\n")


def _name(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return a test's name without the group that xdist writes behind it."""
    return report.nodeid.partition("@tests/")[0]


def summary(path: Path) -> str:
    """Return the sum of the sessions that were recorded, as text."""
    took: dict[str, float] = {}
    skipped: defaultdict[str, list[str]] = defaultdict(list)
    for line in path.read_text().splitlines():
        session = json.loads(line)
        took |= session["took_s"]
        for test, reason in session["skipped"].items():
            skipped[reason].append(test)
    lines = [f"== {len(took)} tests; the longest:"]
    longest = sorted(took.items(), key=lambda item: -item[1])[:LONGEST]
    lines += [f"{seconds:7.1f} s  {test}" for test, seconds in longest]
    lines.append(f"== {sum(map(len, skipped.values()))} skipped:")
    lines += [f"{len(tests):4} x  {reason} ({tests[0]})" for reason, tests in sorted(skipped.items())]
    return "\n".join(lines)


if __name__ == "__main__":
    print(summary(Path(sys.argv[1])))
