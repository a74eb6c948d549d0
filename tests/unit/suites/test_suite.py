"""Suites as they are found, and as a CI server sees them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock, patch
from xml.etree import ElementTree

import pytest
from waiting import forever

import outlast.suites.suite as suite_module
from outlast.checkers.base import Finding
from outlast.config import drill_suites, load_drill
from outlast.errors import ClusterError, ConfigError, HistoryError, HostError
from outlast.history.store import load_run
from outlast.report.junit import junit
from outlast.report.suite_report import SkippedReport
from outlast.run.request import RunRequest
from outlast.suites.suite import (
    Stage,
    Suite,
    SuiteCheck,
    expect,
    load_suite,
    run_suite,
    suite_names,
)


def test_every_folder_of_drills_is_a_suite_whose_drills_load() -> None:
    assert set(drill_suites()) <= set(suite_names())
    for name in suite_names():
        suite = load_suite(name)
        assert suite.drills or suite.checks, name
        assert suite.title, f"{name} has no TITLE: see suites/catalog/__init__.py"
        assert all(load_drill(drill).name == drill for drill in suite.drills)
        assert len({*suite.drills, *(check.name for check in suite.checks)}) == len(suite.drills) + len(
            suite.checks
        )


def test_an_unknown_suite_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        load_suite("nonsense")
    assert "failover" in (caught.value.hint or "")


async def test_a_suite_that_is_stopped_ends_early_with_what_there_is(tmp_path: Path) -> None:
    """No lab is needed: the second check is where it is stopped, and whatever comes after has no turn."""
    shown: list[Any] = []

    async def passes(_stage: Stage) -> list[Finding]:
        return [expect("holds", True, "it does")]

    async def hangs(_stage: Stage) -> list[Finding]:
        running.cancel()
        await forever()
        raise AssertionError("never reached")

    checks = tuple(SuiteCheck(name, name, act) for name, act in (("a", passes), ("b", hangs), ("c", passes)))
    request = RunRequest(seed=1, replay="outlast suite x", new_folder=lambda _name: tmp_path)
    with (
        patch.object(suite_module._Labs, "cluster", AsyncMock(return_value=Mock(spec=["spec"]))),
        patch.object(suite_module, "wait_until_ready", AsyncMock()),
    ):
        running = asyncio.create_task(run_suite(Suite("x", "X", None, (), checks), request, shown.append))
        report = await running
    assert [member.to_document()["verdict"] for member in shown] == ["pass", "fail", "skipped"]
    assert report.verdict == "fail"
    assert report.ended == "ended early: interrupted in b"
    assert (report.ran, report.skipped) == (2, 1)
    assert "interrupted before its end" in junit(shown)


async def test_whatever_a_member_does_the_suite_ends_with_the_verdicts_it_has(tmp_path: Path) -> None:
    """Each way a member can end by an error: all is told, and what failed is stored."""
    folders = (tmp_path / str(number) for number in range(9))
    errors = (
        ClusterError("nobody leads"),
        HistoryError("no header"),
        HostError("gone"),
        KeyError("pg-node-9"),
    )

    def raising(error: Exception) -> SuiteCheck:
        async def run(_stage: Stage) -> list[Finding]:
            raise error

        return SuiteCheck(type(error).__name__, "", run)

    async def passes(_stage: Stage) -> list[Finding]:
        return [expect("holds", True, "it does")]

    checks = (*map(raising, errors), SuiteCheck("last", "", passes))
    request = RunRequest(seed=1, replay="outlast suite x", new_folder=lambda _name: next(folders))
    with (
        patch.object(suite_module._Labs, "cluster", AsyncMock(return_value=Mock(spec=["spec"]))),
        patch.object(suite_module, "wait_until_ready", AsyncMock()),
    ):
        report = await run_suite(Suite("x", "X", None, (), checks), request)
    documents = [member.to_document() for member in report.members]
    assert [one["verdict"] for one in documents] == ["fail", "invalid", "invalid", "invalid", "pass"]
    assert report.verdict == "fail"
    for error, one in zip(errors, documents, strict=False):
        history, stored = load_run(Path(str(one["store"])))
        assert stored.verdict == one["verdict"]
        assert str(error) in str(stored.findings[0]["summary"])
        assert len(history.ops) == 0
    assert documents[-1]["store"] is None


async def test_a_lab_that_cannot_be_removed_takes_no_verdict_with_it(tmp_path: Path) -> None:
    labs = suite_module._Labs("x", RunRequest(seed=1))
    stack = AsyncExitStack()
    stack.push_async_callback(AsyncMock(side_effect=HostError("its init will not end")))
    labs._held = ("", Mock(), stack)
    await labs.drop()
    assert labs.up is None
    assert labs.trouble == ["its init will not end"]


def test_a_skipped_member_is_skipped_in_junit_too() -> None:
    text = junit([SkippedReport("d", "", "it needs root")])
    (case,) = ElementTree.fromstring(text).iter("testcase")
    skipped = case.find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "it needs root"
