"""Suites as they are found, and as a CI server sees them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from holdfast.errors import ConfigError
from holdfast.report.junit import junit
from holdfast.run.suite import load_suite, suite_names
from holdfast.spec import drill_suites, load_drill


def test_every_folder_of_drills_is_a_suite_whose_drills_load() -> None:
    assert set(drill_suites()) <= set(suite_names())
    for name in suite_names():
        suite = load_suite(name)
        assert suite.drills or suite.checks, name
        assert all(load_drill(drill).name == drill for drill in suite.drills)
        assert len({*suite.drills, *(check.name for check in suite.checks)}) == len(suite.drills) + len(
            suite.checks
        )


def test_an_unknown_suite_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        load_suite("nonsense")
    assert "failover" in (caught.value.hint or "")


def test_a_skipped_member_is_skipped_in_junit_too() -> None:
    text = junit([{"drill": "d", "title": "", "verdict": "skipped", "reason": "it needs root"}])
    (case,) = ElementTree.fromstring(text).iter("testcase")
    skipped = case.find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "it needs root"
