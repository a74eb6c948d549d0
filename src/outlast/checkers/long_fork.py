"""Long fork: two readers see two independent writes in opposite orders.

Each key is written once. Then of any two reads of the same keys one must have seen all that the other has:
sorted by how much they saw, each read must contain the one before it. Source: jepsen.tests.long-fork; the
linear-time test by sorting is ours (subsets form a chain exactly when neighbours by size are nested).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.values import nothing_to_judge, place_of
from outlast.history.history import JSON, History
from outlast.history.op import NONE, Ops, Outcome
from outlast.history.txn import Txns, transactions


@dataclass(frozen=True, slots=True)
class LongFork:
    """Reads of the same keys form a chain."""

    @property
    def name(self) -> str:
        """``long_fork``."""
        return "long_fork"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge transactions of reads only, against writes of each key once. The deadline is not needed.

        ``unknown`` when a key is written twice. O(r log r) for r reads.
        """
        if (nothing := nothing_to_judge(self.name, history.ops)) is not None:
            return nothing
        txns = transactions(history.ops, lists=False)
        writes = txns.key[txns.is_write & (txns.outcome[txns.txn_of_mop()] != int(Outcome.FAIL))]
        keys, counts = np.unique(writes, return_counts=True)
        if (counts > 1).any():
            key = txns.key_name(int(keys[counts > 1][0]))
            return Finding(
                self.name, Verdict.UNKNOWN, f"{key} is written more than once; a fork cannot be told"
            )
        groups = _reads_by_keys(txns)
        forks = [pair for group in groups.values() for pair in _forks(group)]
        reads = sum(len(group) for group in groups.values())
        if not forks:
            return Finding(
                self.name, Verdict.PASS, f"{reads} reads of {len(groups)} groups of keys form chains"
            )
        evidence = tuple(_explain(history.ops, txns, *pair) for pair in forks[:8])
        return Finding(
            self.name,
            Verdict.FAIL,
            f"{len(forks)} long forks in {reads} reads: {evidence[0].message}",
            value=len(forks),
            limit=0,
            anomalies={"long-fork": len(forks)},
            evidence=evidence,
        )


_Read = tuple[frozenset[int], int]
"""(keys that it saw written, transaction)."""


def _reads_by_keys(txns: Txns) -> dict[frozenset[int], list[_Read]]:
    groups: dict[frozenset[int], list[_Read]] = defaultdict(list)
    for txn in np.flatnonzero(txns.outcome == int(Outcome.OK)).tolist():
        low, high = int(txns.mop_start[txn]), int(txns.mop_start[txn + 1])
        if high - low > 1 and not txns.is_write[low:high].any():
            keys = txns.key[low:high]
            seen = keys[txns.value[low:high] != NONE]
            groups[frozenset(keys.tolist())].append((frozenset(seen.tolist()), txn))
    return groups


def _forks(group: list[_Read]) -> list[tuple[_Read, _Read]]:
    """Return neighbours by size, neither of which contains the other."""
    ordered = sorted(dict(group).items(), key=lambda read: len(read[0]))
    return [(a, b) for a, b in pairwise(ordered) if not a[0] <= b[0]]


def _explain(ops: Ops, txns: Txns, a: _Read, b: _Read) -> Evidence:
    """Return the two reads, where each was served, and the writes that they saw in opposite orders."""
    only_a, only_b = min(a[0] - b[0]), min(b[0] - a[0])
    first, second = int(txns.op[a[1]]), int(txns.op[b[1]])
    writes = [int(txns.op[_writer(txns, key)]) for key in (only_a, only_b)]
    x, y = txns.key_name(only_a), txns.key_name(only_b)
    places: dict[str, JSON] = {
        str(op): place for op in (first, second, *writes) if (place := place_of(ops, op))
    }
    return Evidence(
        f"op {first}{_at(ops, first)} saw the write of {x} (op {writes[0]}) but not that of {y} (op {writes[1]}), "
        f"op {second}{_at(ops, second)} the other way round",
        ops=(first, second, *writes),
        details={"served_by": places} if places else {},
    )


def _writer(txns: Txns, key: int) -> int:
    """Return the transaction that wrote a key; of several attempts the first that may have happened."""
    mops = np.flatnonzero(txns.is_write & (txns.key == key))
    writers = np.searchsorted(txns.mop_start, mops, side="right") - 1
    return int(writers[txns.outcome[writers] != int(Outcome.FAIL)][0])


def _at(ops: Ops, op: int) -> str:
    return f" at {node}" if (node := ops.node_name(op)) else ""
