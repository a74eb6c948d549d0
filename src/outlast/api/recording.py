"""A recorded load beside a person's test: started, stopped, judged."""

from __future__ import annotations

import asyncio
import secrets
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from outlast.api.loop_thread import LoopThread
from outlast.checkers.base import Verdict
from outlast.config import DrillSpec
from outlast.errors import ClusterError, ConfigError
from outlast.history.history import JSON
from outlast.hosts.state import new_run_folder
from outlast.report.findings import CheckResult
from outlast.run.conclude import RunResult
from outlast.run.drill import run_drill
from outlast.run.injections import Injections
from outlast.run.load import CLIENT_HOST
from outlast.run.manual_nemesis import ManualNemesis
from outlast.run.prepare import plan_drill, prepare_drill
from outlast.run.request import RunRequest
from outlast.systems.base import Cluster
from outlast.workloads import WORKLOADS
from outlast.workloads.base import OwnProgram

LONGEST_S: Final = 24 * 3600.0
SEED_BITS: Final = 31
OUTPUT: Final = "output.log"
LOST: Final = ("lost_writes", "rows_as_acked", "set_full")
"""Checkers that compare what was acknowledged with what is there."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of a recorded load. outage_s and the like: as ``outlast drill --json`` says, None where a workload
    does not measure it. store: the run's folder, for ``outlast report`` and ``outlast check``."""

    verdict: str
    acked: int
    acked_lost: int | None
    outage_s: float | None
    availability: float | None
    two_writers_s: float | None
    replicas_equal: bool | None
    store: Path
    document: Mapping[str, JSON]
    checks: tuple[CheckResult, ...]

    def complaints(self, names: tuple[str, ...] = ()) -> list[str]:
        """Return what its checks complain of, with the first evidence; names: only those checks."""
        return [
            f"{check.name}: {check.verdict}: {check.summary}"
            + (f" ({check.evidence[0].message})" if check.evidence else "")
            for check in self.checks
            if check.verdict is not Verdict.PASS and (not names or check.name in names)
        ]

    def assert_passed(self) -> None:
        """Fail (AssertionError) unless every check passed: nothing lost, no two writers, replicas equal, …"""
        if self.verdict != "pass":
            raise AssertionError("\n".join([f"{self.verdict}; stored in {self.store}", *self.complaints()]))

    def assert_no_lost_writes(self) -> None:
        """Fail (AssertionError) when an acknowledged write is gone, or whether one is was not found out."""
        if not any(check.name in LOST for check in self.checks):
            raise ConfigError("this workload does not tell its writes apart", hint='history("append") does')
        if wrong := self.complaints(LOST):
            raise AssertionError("\n".join([*wrong, f"stored in {self.store}"]))


class Recording:
    """A load that runs from ``start`` to ``stop``, or for the length of a with block, and is then judged.

    ``result`` is there after that. The faults that are injected meanwhile are part of its history. Raises
    ConfigError and UnavailableError for a load that this cluster can't have.
    """

    def __init__(
        self, runner: LoopThread, cluster: Cluster, injections: Injections, drill: DrillSpec
    ) -> None:
        self._runner = runner
        self._cluster = cluster
        self._injections = injections
        self._drill = drill
        self._prepared = prepare_drill(plan_drill(drill, cluster.spec), cluster)
        self._hand: ManualNemesis | None = None
        self._work: asyncio.Task[RunResult] | None = None
        self._result: Recorded | None = None
        self._log_bytes = 0
        self.folder = new_run_folder(drill.name)

    def output(self) -> list[str]:
        """Return the lines that a program of the person's (workload ``command``) printed. Raises ConfigError before
        it was stopped, and for a load that is no program."""
        if not (self.folder / OUTPUT).exists():
            raise ConfigError(
                "there is no output", hint='only history("command", argv=[…]) has one, and only after stop()'
            )
        return (self.folder / OUTPUT).read_text(errors="replace").splitlines()

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._work is not None and self._result is None

    @property
    def is_judged(self) -> bool:
        """Whether it was stopped and there is a result."""
        return self._result is not None

    @property
    def result(self) -> Recorded:
        """What came of it. Raises ConfigError before it was stopped."""
        if self._result is None:
            raise ConfigError(
                "the load is still running, or never ran", hint="call stop(), or leave the with block"
            )
        return self._result

    def start(self) -> Recording:
        """Start the load; returns once each of its clients' groups had a write acknowledged. Raises ClusterError."""
        self._runner.run(self._begin())
        return self

    def stop(self) -> Recorded:
        """Heal everything, stop the load, wait for a whole cluster, read everything back, and judge.

        Stopping again returns the same. What is wrong with the database is in the result, not an error.
        """
        if self._result is None:
            outcome = self._runner.run(self._end(), finish=True)
            self._result = _recorded(outcome)
        return self._result

    def abandon(self) -> None:
        """End the load without a verdict; what it recorded stays in its folder."""
        if self.is_running:
            self._runner.run(self._cancel(), finish=True)

    def __enter__(self) -> Recording:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        if error is not None and not isinstance(error, Exception):
            self.abandon()  # Ctrl-C: nobody waits for a verdict
            return
        try:
            self.stop()
        except Exception as worse:
            if error is None:
                raise
            error.add_note(f"and its recorded load could not be judged: {worse}")

    def operator_acts(self, words: str) -> None:
        """Note what an operator does while it runs, where a system has no manager."""
        if self.is_running and self._hand is not None and self._hand.operator_acted is not None:
            self._hand.operator_acted(words)

    async def _begin(self) -> None:
        if self._work is not None:
            raise ConfigError("a recording can be started only once")
        self._log_bytes = self._logged()
        self._hand = ManualNemesis(self._injections)
        work = asyncio.create_task(
            run_drill(
                self._cluster,
                self._prepared,
                RunRequest(
                    seed=secrets.randbits(SEED_BITS),
                    replay=shlex.join(sys.argv),
                    new_folder=lambda _name: self.folder,
                ),
                nemesis=self._hand,
            )
        )
        begun = asyncio.create_task(self._hand.begun.wait())
        try:
            await asyncio.wait({work, begun}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            raise
        finally:
            begun.cancel()
        if work.done():
            work.result()  # it did not get as far as a load: whatever it raises says why
        self._work = work

    async def _cancel(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            self._work = None

    def _logged(self) -> int:
        """Return how long the log of a program is by now: earlier loads on the same lab wrote to it, too."""
        host = self._cluster.lab.hosts.get(CLIENT_HOST)
        logs = [host.folder / f"log/{name}.log" for name in self._drill.workload] if host else []
        return sum(log.stat().st_size for log in logs if log.exists())

    async def _end(self) -> RunResult:
        if self._hand is None or self._work is None:
            raise ClusterError("the load was never started")
        self._hand.ending.set()
        outcome = await asyncio.shield(self._work)
        for name in self._drill.workload:
            if isinstance(WORKLOADS[name], OwnProgram):
                log = self._cluster.lab.hosts[CLIENT_HOST].folder / f"log/{name}.log"
                with log.open("rb") as source, (self.folder / OUTPUT).open("wb") as target:
                    source.seek(self._log_bytes)
                    shutil.copyfileobj(source, target)
        return outcome


def _recorded(result: RunResult) -> Recorded:
    report = result.report()
    return Recorded(
        verdict=report.verdict,
        acked=report.acked,
        acked_lost=None if report.acked_lost is None else int(report.acked_lost),
        outage_s=report.outage_s,
        availability=report.availability,
        two_writers_s=report.two_writers_s,
        replicas_equal=report.replicas_equal,
        store=result.folder,
        document=report.to_document(),
        checks=report.checks,
    )
