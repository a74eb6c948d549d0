"""What all tests share: a state folder each, patience that fits the machine, async tests without a plugin."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from outlast import pace

pytest_plugins = ["record"]


def pytest_configure(config: pytest.Config) -> None:
    """Measure the machine's pace once, for this run and all that it starts.

    Several tests at a time are a load that nothing shows yet. A run that a shell started in the background has Ctrl-C
    ignored; tests want it as in a terminal.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if pace.VARIABLE not in os.environ:
        at_once = getattr(config.option, "numprocesses", None) or 1
        crowd = max(1.0, at_once / (os.cpu_count() or 1))
        os.environ[pace.VARIABLE] = f"{min(pace.FACTOR_MAX, pace.factor() * crowd):g}"
        pace.factor.cache_clear()
    os.environ["RAFTLOG_PACE"] = f"{pace.factor():g}"


def pytest_report_header() -> str:
    return pace.describe()


@pytest.hookimpl(tryfirst=True)  # before xdist's, which makes the groups part of the tests' names
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Scale each test's time-out; keep tests that share a fixture in one process, in the order they stand in."""
    usual_s = float(config.getini("timeout"))
    for item in items:
        marker = item.get_closest_marker("timeout")
        bound_s = float(marker.args[0]) if marker else usual_s
        item.add_marker(pytest.mark.timeout(pace.scaled(bound_s)), append=False)
        if (shared := _shared_fixture(item)) is not None:
            item.add_marker(pytest.mark.xdist_group(shared))


def _shared_fixture(item: pytest.Item) -> str | None:
    """Return the fixture of ours, by a name of its own, that this test uses and that outlives it; None: there is none.

    Folders, which each process makes for itself, do not count.
    """
    if not isinstance(item, pytest.Function):
        return None
    for definitions in item._fixtureinfo.name2fixturedefs.values():
        definition = definitions[-1]
        outlives = definition.scope in ("session", "module") and definition.baseid.startswith("tests/")
        if outlives and not definition.argname.endswith("_state"):
            return f"{definition.baseid}::{definition.argname}"
    return None


@pytest.fixture(autouse=True)
def _own_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or touches a person's own labs and runs. The seed cache is shared: it is only read."""
    monkeypatch.setenv("OUTLAST_STATE", str(tmp_path / "state"))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test to its end in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in wanted}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True
