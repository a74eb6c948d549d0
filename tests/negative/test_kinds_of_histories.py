"""Small histories of the kinds that Elle's, AWDIT's and IsoVista's own tests hold: each level and anomaly as they say.

The histories are ours; what each of those tests means is in its name. wx1 writes 1 to x, ax1 appends it, rx1,2 reads x.
"""

from __future__ import annotations

import json

import pytest

from outlast.checkers.base import Finding, Verdict
from outlast.checkers.transactions.check import ListAppend, RwRegister
from outlast.clock import deadline_ns
from outlast.history.formats.events import EventPairer
from outlast.history.history import History
from outlast.history.op import Outcome

KEYS = "xyztu"
ENDS = {"": Outcome.OK, "fail ": Outcome.FAIL, "info ": Outcome.INFO}


def judge(model: str, text: str, level: str, *, together: bool) -> Finding:
    """Judge transactions, one a line: ``process: ax1 rx1,2 ry``; together: each process' first ones overlap."""
    pairer = EventPairer()
    lines = [line.split(": ") for line in text.strip().splitlines()]
    if together:
        for process, written in lines:
            pairer.invoke(
                int(process),
                "txn",
                None,
                [_mop(model, word) for word in written.split() if word[1:2] in KEYS],
            )
    for process, written in lines:
        end = next(name for name in ("fail ", "info ", "") if written.startswith(name))
        mops = [_mop(model, word) for word in written.removeprefix(end).split()]
        if not together:
            pairer.invoke(int(process), "txn", None, mops)
        pairer.complete(int(process), ENDS[end], mops, f="txn")
    checker = ListAppend(level) if model == "list-append" else RwRegister(level)
    return checker.check(History(pairer.ops()), deadline_ns(20))


def _mop(model: str, word: str) -> list[object]:
    f, key, value = word[0], word[1], word[2:]
    if f != "r":
        return ["append" if model == "list-append" else "w", key, int(value)]
    return ["r", key, json.loads(f"[{value}]") if model == "list-append" else int(value) if value else None]


# (text, whether the transactions overlap, the strongest levels that allow it, the weakest that do not, anomalies)
Case = tuple[str, bool, tuple[str, ...], tuple[str, ...], set[str]]

LISTS: dict[str, Case] = {
    "information flows in a circle": (
        "0: ax1 ry1\n1: ax2 ay1\n2: rx1,2 ry1", True,
        ("read-uncommitted",), ("read-committed",), {"G1c"}),
    "read skew by an overwrite": (
        "0: ax1 ay1\n1: ax2 ry\n2: rx1,2", True,
        ("strong-session-read-committed",), ("snapshot-isolation", "repeatable-read"), {"G-single"}),
    "a snapshot older than what was acknowledged": (
        "0: ax1\n1: ax2\n2: rx1\n3: rx1,2", False,
        ("strong-session-serializable",), ("strong-snapshot-isolation",), {"G-single-realtime"}),
    "a snapshot older than one's own": (
        "0: ax1\n1: ax2\n1: rx1\n3: rx1,2", False,
        ("serializable",), ("strong-session-snapshot-isolation", "read-atomic", "pram"), {"G-single-process"}),
    "contradictory reads": (
        "0: ax1 ry1\n1: ax2\n2: ax3 ay1\n3: rx1,3\n4: rx1,2,3", True,
        ("read-uncommitted",), ("read-committed",), {"G1c", "incompatible-order"}),
    "an update of what failed, another between": (
        "0: fail ax1\n1: info ax2\n2: ax3\n3: rx1,2,3", False,
        ("read-uncommitted",), ("read-committed",), {"dirty-update", "G1a"}),
    "an element twice": (
        "0: ax1 ry1\n1: ax2 ay1\n2: rx1,2,1", True, (), ("read-uncommitted",), {"duplicate-elements", "G1c"}),
    "own appends with another's among them": (
        "0: ax1 ax2 ax4\n1: ax3 rx1,2,3,4", True, (), ("read-uncommitted",), {"internal", "G0"}),
    "an append that nobody read": (
        "0: ax1 ay1\n1: ax2 ay2\n2: ax3 ay3\n3: rx1,2\n4: ry2", True, (), ("read-uncommitted",), {"G0"}),
    "write skew": (
        "0: rx ay1\n1: ry ax1", True,
        ("strong-snapshot-isolation", "causal", "cursor-stability"), ("repeatable-read", "serializable"), {"G2-item"}),
    "long fork": (
        "0: ax1\n1: rx1 ry\n2: ay1\n3: ry1 rx", True,
        ("causal", "cursor-stability", "pram"), ("snapshot-isolation", "repeatable-read"), {"G-nonadjacent"}),
    "neighbouring anti-dependencies": (
        "0: rx5 ay1\n1: ry az2\n2: rz at3\n3: rt3 au4\n4: ru ax5", True,
        ("snapshot-isolation",), (), set()),
    "lost update": (
        "0: ax0\n1: rx0 ax1\n2: rx0 ax2", True,
        ("causal",), ("cursor-stability", "snapshot-isolation"), {"lost-update", "G2-item"}),
    "one transaction that appends twice to what it read": ("0: rx ax1 ax2\n1: rx1,2", False,
        ("strict-serializable",), (), set()),
    "what a process saw and then wrote": (
        "1: rx1 ay1\n2: ry1\n2: ax1", False,
        ("read-committed", "cursor-stability", "serializable"), ("strong-session-read-committed",), {"G1c-process"}),
    "a read of one's own future": ("0: rx1 ax1", False, ("read-uncommitted",), ("read-committed",), {"future-read"}),
    "an intermediate read": ("0: ax1 ax2\n1: rx1", False, ("read-uncommitted",), ("read-committed",), {"G1b"}),
}  # fmt: skip

REGISTERS: dict[str, Case] = {
    "writes of two keys in opposite orders, shown by one process' later reads": (
        "0: wx1 wy2\n1: wx2 wy1\n0: rx2\n0: ry2", False,
        ("serializable",), ("strong-session-serializable",), set()),
    "a read of what failed": ("0: fail wx1\n1: rx1", False, ("read-uncommitted",), ("read-committed",), {"G1a"}),
    "a read of what nobody wrote": ("0: wx1\n1: rx2", False, (), ("read-uncommitted",), {"garbage-read"}),
    "two reads that see each other's writes": (
        "0: wx1 ry1\n1: wy1 rx1", True, ("read-uncommitted",), ("read-committed",), {"G1c"}),
    "nothing seen beside something": (
        "0: rx ry1\n1: wy1 wx2", True,
        ("read-committed",), ("read-atomic", "snapshot-isolation", "pram"), {"G-single"}),
    "writes follow reads": (
        "0: wy1\n1: ry1 wx1 wy2\n2: rx1 ry1", True,
        ("strong-session-read-committed",), ("read-atomic", "snapshot-isolation"), {"G-single"}),
    "values that change within a transaction": (
        "0: wx1\n1: wx2\n2: rx1 rx2", True, ("cursor-stability",), ("read-atomic", "pram"), {"internal"}),
    "a process that goes back to what it overwrote": (
        "0: wx1\n0: wx2\n0: rx1", False,
        ("serializable",), ("strong-session-serializable", "read-atomic", "pram"), set()),
    "lost update": (
        "0: wx0\n1: rx0 wx1\n2: rx0 wx2", True,
        ("causal",), ("cursor-stability", "snapshot-isolation"), {"lost-update"}),
    "long fork": (
        "0: wx0 wy0\n1: wx1\n2: wy1\n1: rx1 ry0\n2: ry1 rx0", False,
        ("causal", "pram"), ("strong-session-snapshot-isolation",), set()),
    "writers in a circle of sessions": (
        "0: rx1\n0: wy1\n1: ry1\n1: wx1", False,
        ("read-committed", "pram"), ("strong-session-read-committed", "causal"), {"G1c-process"}),
    "half of two writers": (
        "0: wx1 wy1\n1: wx2 wy2\n2: rx1 ry2", True,
        ("strong-session-read-committed",), ("read-atomic",), set()),
    "an effect without its cause": (
        "0: wx1\n0: wx2\n1: rx2 wy1\n2: rx1 ry1", False,
        ("read-atomic", "pram"), ("causal",), set()),
}  # fmt: skip

CASES = [("list-append", name, case) for name, case in LISTS.items()] + [
    ("rw-register", name, case) for name, case in REGISTERS.items()
]


@pytest.mark.parametrize(
    ("model", "name", "case"), CASES, ids=[f"{model}: {name}" for model, name, _ in CASES]
)
def test_a_kind_of_history_is_judged_as_its_authors_judge_it(model: str, name: str, case: Case) -> None:
    text, together, allow, forbid, anomalies = case
    for level in allow:
        finding = judge(model, text, level, together=together)
        assert finding.verdict is Verdict.PASS, (level, finding.summary)
    for level in forbid:
        finding = judge(model, text, level, together=together)
        assert finding.verdict is Verdict.FAIL, (level, finding.summary)
        assert anomalies <= finding.anomalies.keys()
        assert finding.consistency == level
