"""Accounts between which money moves: every read must show the same total. Source: jepsen.tests.bank."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.values import acked, each_key, nothing_to_judge, value_of
from outlast.errors import HistoryError
from outlast.history.history import History
from outlast.history.op import Ops


@dataclass(frozen=True, slots=True)
class Bank:
    """Snapshot reads of all balances add up.

    total: what they add up to; None takes the first whole read's of each bank. negative_allowed: whether a
    balance may be below 0.
    """

    total: int | None = None
    negative_allowed: bool = False

    @property
    def name(self) -> str:
        """``bank``."""
        return "bank"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history: ``read`` ops whose value maps accounts to balances. The deadline is not needed.

        Raises HistoryError for a read of anything else. O(reads · accounts).
        """
        ops = history.ops
        if (nothing := nothing_to_judge(self.name, ops)) is not None:
            return nothing
        reads = acked(ops, "read")
        anomalies: Counter[str] = Counter()
        evidence: list[Evidence] = []
        total: Decimal | None = None
        for _, members in each_key(ops, reads):
            total = None if self.total is None else Decimal(self.total)
            for read in members.tolist():
                balances = _balances(ops, read)
                missing = [account for account, balance in balances.items() if balance is None]
                amount = sum((each for each in balances.values() if each is not None), Decimal(0))
                total = amount if total is None and not missing else total
                below = {
                    account: str(each) for account, each in balances.items() if each is not None and each < 0
                }
                for name, wrong, why in (
                    ("missing-balance", bool(missing), f"shows no balance for {', '.join(missing)}"),
                    ("wrong-total", not missing and amount != total, f"adds up to {amount}, not {total}"),
                    ("negative-balance", bool(below) and not self.negative_allowed, f"shows {below}"),
                ):
                    if wrong:
                        anomalies[name] += 1
                        evidence.append(
                            Evidence(
                                f"{name}: op {read} {why}", ops=(read,), details={"read": value_of(ops, read)}
                            )
                        )
        if not anomalies:
            said = (
                f"{len(reads)} reads, all adding up to {total}"
                if len(reads)
                else "the accounts were never read"
            )
            return Finding(self.name, Verdict.PASS if len(reads) else Verdict.UNKNOWN, said)
        listed = ", ".join(f"{count} {name}" for name, count in anomalies.items())
        return Finding(
            self.name,
            Verdict.FAIL,
            f"{listed} in {len(reads)} reads: {evidence[0].message}",
            value=sum(anomalies.values()),
            limit=0,
            anomalies=dict(anomalies),
            evidence=tuple(evidence[:8]),
        )


def _balances(ops: Ops, read: int) -> dict[str, Decimal | None]:
    """Return balances by account, exact. Raises HistoryError for a read of anything else."""
    text = None if ops.payload is None else ops.payload[read]
    balances = None if text is None else json.loads(text, parse_float=Decimal)
    if not isinstance(balances, dict) or not all(
        balance is None or type(balance) in (int, Decimal) for balance in balances.values()
    ):
        shown = str(value_of(ops, read))[:60]
        raise HistoryError(f"op {read} read {shown!r} where balances by account are due")
    return {account: None if each is None else Decimal(each) for account, each in balances.items()}
