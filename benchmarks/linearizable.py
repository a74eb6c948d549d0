"""``bench linearizable``: searches of register histories, and Porcupine's etcd logs beside Porcupine.

The peer runs Porcupine's own benchmarks with Go, where both are at hand: PORCUPINE names a checkout of its
source.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from benchmarks.case import Case
from outlast.checkers.base import Verdict
from outlast.checkers.linearizable.check import Linearizable
from outlast.clock import deadline_ns
from outlast.history.formats import read_history
from outlast.history.history import History
from outlast.testing.simulated_history import register_history

N = 100_000
_ROUNDS = 3


def cases() -> list[Case]:
    """Return the cases. About ten seconds."""
    return [_valid(), _invalid(), *_etcd_logs()]


def _seconds(history: History, model: str, expected: Verdict | None) -> float:
    """Return the best time of a few rounds, in seconds."""
    best = float("inf")
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        finding = Linearizable(model).check(history, deadline_ns(60))
        best = min(best, time.perf_counter() - start)
        if expected is not None and finding.verdict is not expected:
            raise AssertionError(f"{finding.verdict} where {expected} is due: {finding.summary}")
    return best


def _valid() -> Case:
    seconds = _seconds(History(register_history(N)), "register", Verdict.PASS)
    return Case("register-100k", N / seconds, "ops/s")


def _invalid() -> Case:
    seconds = _seconds(History(register_history(N, stale_at=N // 2)), "register", Verdict.FAIL)
    return Case("register-100k-invalid", seconds, "s")


def _etcd_logs() -> list[Case]:
    """Return a case for each etcd log in $OUTLAST_SAMPLES/porcupine or Porcupine's own folder."""
    source = os.environ.get("PORCUPINE")
    folders = [Path(source) / "test_data/jepsen"] if source else []
    if "OUTLAST_SAMPLES" in os.environ:
        folders.append(Path(os.environ["OUTLAST_SAMPLES"]) / "porcupine")
    logs = sorted(log for folder in folders[:1] for log in folder.glob("etcd_*.log"))
    peers = _porcupine(Path(source)) if source and shutil.which("go") else {}
    found = []
    for log in logs:
        seconds = _seconds(read_history(log, "porcupine-etcd"), "cas-register", None)
        peer = peers.get(log.stem.removeprefix("etcd_"))
        found.append(Case(log.stem, seconds, "s", peer, None if peer is None else "porcupine"))
    return found


def _porcupine(source: Path) -> dict[str, float]:
    """Return seconds a run by log number, as `go test -bench` measures them."""
    command = ["go", "test", "-run", "^$", "-bench", "EtcdJepsen", "-benchtime", "20x"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300, check=False)
    found = re.findall(r"BenchmarkEtcdJepsen(\d+)\S*\s+\d+\s+([\d.]+) ns/op", done.stdout)
    return {number: float(ns) / 1e9 for number, ns in found}
