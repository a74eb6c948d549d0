"""What the names of anomalies mean, once for reports and docs/checkers.md."""

from __future__ import annotations

from typing import Final

from outlast.checkers.transactions.consistency import split_variant

ANOMALIES: Final = {
    "G0": "write cycle: two transactions wrote two keys in opposite orders",
    "G1a": "a read of what a failed transaction wrote",
    "G1b": "a read of what its own transaction then overwrote",
    "G1c": "circular information flow: a cycle of writes overwritten and writes read",
    "G-single": "read skew: a cycle in which exactly once somebody read what another then overwrote",
    "G-nonadjacent": "long fork: a cycle with several such reads, never one right after another",
    "G2-item": "write skew: a cycle with several such reads, some one right after another",
    "G-cursor": "another's write came between what a transaction read of a key and its own write to it",
    "internal": "a transaction's read contradicts what it had read or written before",
    "future-read": "a transaction read what it wrote only later",
    "lost-update": "two transactions read one version of a key and both wrote the next",
    "dirty-update": "a committed write was built on one that failed",
    "incompatible-order": "two reads of a list, neither the beginning of the other",
    "duplicate-elements": "a list shows an element twice",
    "garbage-read": "a read of what nobody wrote",
    "cyclic-versions": "values of a register that each come before the other",
    "reordered-appends": "a list shows a transaction's own appends in another order, or the later without the earlier",
    "fractured-read": "a transaction saw a part of another, or of what its process had done, and missed the rest",
    "no-causal-order": "a transaction missed a write that it had seen the effects of",
    "no-pram-order": "what one process read fits no order of all writes that keeps each process' own",
    "no-cursor-order": "no order of versions leaves every read and its own write of the key together",
    "no-snapshot-order": "no order of versions lets the transactions run on snapshots",
    "no-serial-order": "no order of versions lets the transactions run one after another",
}
"""By name, without variant."""

_VARIANTS: Final = {
    "": "",
    "-process": "; it takes that one client ran its transactions in their order",
    "-realtime": "; it takes that one was acknowledged before another began",
}


def meaning(anomaly: str) -> str:
    """Return what an anomaly means, in a sentence's words; "" for a name that is none of these."""
    base, variant = split_variant(anomaly)
    return ANOMALIES[base] + _VARIANTS[variant] if base in ANOMALIES else ""
