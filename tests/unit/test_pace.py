"""One factor under every bound of a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from outlast import pace
from outlast.clock import now_ns, seconds_between
from outlast.errors import ClusterError
from outlast.systems.wait import wait_for


@pytest.fixture(autouse=True)
def _measured_anew() -> Iterator[None]:
    pace.factor.cache_clear()
    yield
    pace.factor.cache_clear()


@pytest.mark.parametrize(("given", "factor"), [("2.5", 2.5), ("0.1", 1.0), ("1000", pace.FACTOR_MAX)])
def test_the_variable_sets_the_factor_within_its_range(
    given: str, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(pace.VARIABLE, given)
    assert pace.factor() == factor
    assert pace.scaled(2.0) == 2.0 * factor


@pytest.mark.parametrize("given", ["", "fast", "nan"])
def test_a_factor_that_is_no_number_is_measured(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pace.VARIABLE, given)
    assert 1 <= pace.factor() <= pace.FACTOR_MAX


@pytest.mark.parametrize(
    ("busy", "slow", "factor"),
    [(0.0, 1.0, 1.0), (0.1, 1.0, 1.0), (1.0, 1.0, 2.0), (1.0, 3.0, 6.0), (9.0, 3.0, 8.0)],
)
def test_a_machine_that_is_busy_or_slow_is_waited_for_longer(
    busy: float, slow: float, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(pace.VARIABLE, raising=False)
    monkeypatch.setattr(pace, "_busyness", lambda: busy)
    monkeypatch.setattr(pace, "_slowness", lambda: slow)
    assert pace.factor() == factor


def test_the_factor_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(pace.VARIABLE, raising=False)
    monkeypatch.setattr(pace, "_slowness", iter([3.0]).__next__)
    monkeypatch.setattr(pace, "_busyness", lambda: 0.0)
    assert [pace.factor(), pace.factor()] == [3.0, 3.0]


def test_a_wait_is_as_much_longer_and_its_error_says_how_long_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pace.VARIABLE, "4")

    async def never() -> str:
        return "nothing"

    start = now_ns()
    with pytest.raises(ClusterError, match=r"waited 0\.4 s for it; last seen: nothing"):
        asyncio.run(wait_for(never, 0.1, "it"))
    assert seconds_between(start, now_ns()) >= 0.4
