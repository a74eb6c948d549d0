"""Accounts between which money moves: every read must show the same total. Source: jepsen.tests.bank."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.values import acked, nothing_to_judge, value_of
from outlast.errors import HistoryError
from outlast.history.history import History


@dataclass(frozen=True, slots=True)
class Bank:
    """Snapshot reads of all balances add up.

    total: what they add up to; None takes the first read's. negative_allowed: whether a balance may be below
    0.
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
        total, reads = self.total, acked(ops, "read").tolist()
        anomalies: Counter[str] = Counter()
        evidence: list[Evidence] = []
        for read in reads:
            balances = value_of(ops, read)
            if not isinstance(balances, dict) or not all(
                balance is None or type(balance) is int for balance in balances.values()
            ):
                raise HistoryError(f"op {read} read {str(balances)[:60]!r} where balances by account are due")
            missing = [account for account, balance in balances.items() if balance is None]
            amount = sum(balance for balance in balances.values() if balance is not None)
            total = amount if total is None else total
            negative = {account: each for account, each in balances.items() if each is not None and each < 0}
            for name, wrong, why in (
                ("missing-balance", bool(missing), f"shows no balance for {', '.join(missing)}"),
                ("wrong-total", not missing and amount != total, f"adds up to {amount}, not {total}"),
                ("negative-balance", bool(negative) and not self.negative_allowed, f"shows {negative}"),
            ):
                if wrong:
                    anomalies[name] += 1
                    evidence.append(
                        Evidence(f"{name}: op {read} {why}", ops=(read,), details={"read": balances})
                    )
        if not anomalies:
            said = (
                f"{len(reads)} reads, all adding up to {total}" if reads else "the accounts were never read"
            )
            return Finding(self.name, Verdict.PASS if reads else Verdict.UNKNOWN, said)
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
