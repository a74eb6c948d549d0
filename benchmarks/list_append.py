"""``bench list-append``: strictly serializable histories of up to a million transactions, judged from
columns.

Everything is included but parsing. There is no peer on this machine: Elle needs a Java machine and Clojure.
"""

from __future__ import annotations

import time

from benchmarks.case import Case
from outlast.checkers.base import Verdict
from outlast.checkers.transactions.check import ListAppend
from outlast.clock import deadline_ns
from outlast.testing.simulated_history import list_append_history


def cases(sizes: tuple[int, ...] = (10_000, 100_000, 1_000_000)) -> list[Case]:
    """Return a case for each number of transactions. About ten seconds and 900 MiB for a million."""
    found = []
    for n in sizes:
        txns = list_append_history(n)
        best = float("inf")
        for _ in range(2):
            start = time.perf_counter()
            finding = ListAppend().judge(txns, deadline_ns(300))
            best = min(best, time.perf_counter() - start)
            if finding.verdict is not Verdict.PASS:
                raise AssertionError(f"a clean history was accused: {finding.summary}")
        name = f"list-append-{n // 1000}k" if n < 1_000_000 else f"list-append-{n // 1_000_000}m"
        unit, ours = ("s", best) if n == 100_000 else ("txn/s", n / best)
        found.append(Case(name, ours, unit))
    return found
