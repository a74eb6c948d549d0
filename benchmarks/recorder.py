"""``bench recorder``: what recording costs: time an op, memory of a long recording, time to read it again."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.case import Case
from outlast.clock import now_ns
from outlast.history.op import Outcome
from outlast.history.reading import read_ops
from outlast.history.recorder import Recorder

CLIENTS = 8


def record(folder: Path, ops: int, *, with_clock: bool) -> float:
    """Record ops, one open a client, and return ns an op: invocation, completion and their share of sealing.

    with_clock: also read the clock once an op, as a client in a closed loop does.
    """
    with Recorder(folder, clients=CLIENTS) as recorder:
        f, ok = recorder.function("append"), recorder.tag(Outcome.OK, "node-1", 1)
        invoke, complete = recorder.invoke, recorder.complete
        at_ns = start_ns = now_ns()
        for i in range(CLIENTS):
            invoke(i, f, i, at_ns)
        if with_clock:
            for i in range(CLIENTS, ops):
                at_ns = now_ns()
                complete(i & 7, ok, i, at_ns)
                invoke(i & 7, f, i, at_ns + 1)
        else:
            for i in range(CLIENTS, ops):
                complete(i & 7, ok, i, at_ns)
                invoke(i & 7, f, i, at_ns + 1)
        took_ns = now_ns() - start_ns
    start_ns = now_ns()
    for i in range(CLIENTS, ops):
        i & 7
    return (took_ns - (now_ns() - start_ns)) / ops


def memory_mib(ops: int) -> float:
    """Return the peak memory of a process that records ops, MiB, all it imports included."""
    code = (
        "import sys; from pathlib import Path; from benchmarks import recorder as r;"
        "r.record(Path(sys.argv[1]) / 'w', int(sys.argv[2]), with_clock=True); print(r.peak_mib())"
    )
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", code, folder, str(ops)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_mib() -> float:
    """Return this process's peak resident memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cases(ops: int = 1_000_000, memory_ops: int = 10_000_000) -> list[Case]:
    """Return the cases; each time is the best of three, since other load only ever adds to it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        plain = min(record(root / f"plain{i}" / "w", ops, with_clock=False) for i in range(3))
        clock = min(record(root / f"clock{i}" / "w", ops, with_clock=True) for i in range(3))
        reading = []
        for _ in range(3):
            start_ns = now_ns()
            assert len(read_ops(root / "clock0")) == ops
            reading.append((now_ns() - start_ns) / 1e9)
    return [
        Case("record an op", plain, "ns"),
        Case("record an op, clock included", clock, "ns"),
        Case(f"read {ops} ops", min(reading), "s"),
        Case(f"memory to record {memory_ops} ops", memory_mib(memory_ops), "MiB"),
    ]
