"""Long fork: two readers see two independent writes in opposite orders.

Each key is written once. Then of any two reads of the same keys one must have seen all that the other has:
sorted by how much they saw, each read must contain the one before it. Reads of different keys are compared on the
keys that both read. Source: jepsen.tests.long-fork; the linear-time test by sorting is ours (subsets form a chain
exactly when neighbours by size are nested).
"""

from __future__ import annotations

from collections import Counter, defaultdict
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
        forks = forks or _forks_across(groups)
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


def _forks_across(groups: dict[frozenset[int], list[_Read]]) -> list[tuple[_Read, _Read]]:
    """Return reads of different sets of keys that fork on two keys which both read, a pair of reads for each two.

    O(Σ keys seen · keys not seen, of reads that differ).
    """
    if len(groups) < 2:
        return []
    shared = Counter(key for keys in groups for key in keys)
    saw_first: dict[tuple[int, int], _Read] = {}
    for keys, group in groups.items():
        common = {key for key in keys if shared[key] > 1}
        for read in dict(group).items():
            for seen in read[0] & common:
                for missed in common - read[0]:
                    saw_first.setdefault((seen, missed), read)
    return [(a, saw_first[y, x]) for (x, y), a in saw_first.items() if x < y and (y, x) in saw_first]


def _explain(ops: Ops, txns: Txns, a: _Read, b: _Read) -> Evidence:
    """Return the two reads, where each was served, and the writes that they saw in opposite orders."""
    common = _keys(txns, a[1]) & _keys(txns, b[1])
    only_a, only_b = min((a[0] - b[0]) & common), min((b[0] - a[0]) & common)
    first, second = int(txns.op[a[1]]), int(txns.op[b[1]])
    writes = [_write(txns, key) for key in (only_a, only_b)]
    known = [op for op in writes if op is not None]
    named = [
        f"the write of {txns.key_name(key)} ({'not in the history' if op is None else f'op {op}'})"
        for key, op in zip((only_a, only_b), writes, strict=True)
    ]
    places: dict[str, JSON] = {
        str(op): place for op in (first, second, *known) if (place := place_of(ops, op))
    }
    return Evidence(
        f"op {first}{_at(ops, first)} saw {named[0]} but not that{named[1].removeprefix('the write')}, "
        f"op {second}{_at(ops, second)} the other way round",
        ops=(first, second, *known),
        details={"served_by": places} if places else {},
    )


def _keys(txns: Txns, txn: int) -> set[int]:
    return set(txns.key[txns.mop_start[txn] : txns.mop_start[txn + 1]].tolist())


def _write(txns: Txns, key: int) -> int | None:
    """Return the op that wrote a key, rather one that may have happened than one that failed; None without one."""
    mops = np.flatnonzero(txns.is_write & (txns.key == key))
    writers = np.searchsorted(txns.mop_start, mops, side="right") - 1
    happened = writers[txns.outcome[writers] != int(Outcome.FAIL)]
    return int(txns.op[(happened if len(happened) else writers)[0]]) if len(writers) else None


def _at(ops: Ops, op: int) -> str:
    return f" at {node}" if (node := ops.node_name(op)) else ""
