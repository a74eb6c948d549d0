"""What must hold at every step, whatever the faults: Raft's safety properties (Raft figure 3) and what rests
on them.

election safety         at most one leader a term                                        Raft §5.2
one vote                a node votes for at most one candidate a term, crashes included  Raft §5.2
log matching            same index and term: same entry, same one before                 Raft §5.3
leader completeness     a new leader holds all that was committed before                 Raft §5.4
state machine safety    no two nodes commit, or apply, different entries at an index     Raft §5.4
durability              what is committed is on the disks of a majority                  Raft §5.3
monotony                terms and commit indices never fall, crashes included (terms)    Raft §5.1
linearizable reads      a read sees all that was committed when it was asked             thesis §6.4
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raftlog.core.types import Entry


class Violation(AssertionError):
    """An invariant does not hold."""


@dataclass(slots=True)
class Invariants:
    """What has been seen of the cluster so far, against which each step is held. Knows the truth, not any
    node's view."""

    leaders: dict[int, int] = field(default_factory=dict)
    votes: dict[tuple[int, int], int] = field(default_factory=dict)
    seen: dict[tuple[int, int], tuple[bytes, int]] = field(default_factory=dict)
    chosen: dict[int, Entry] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)
    terms: dict[int, int] = field(default_factory=dict)
    highest: int = 0
    """The highest index committed anywhere."""

    def leader(self, node: int, term: int) -> None:
        """A node leads a term."""
        first = self.leaders.setdefault(term, node)
        if first != node:
            raise Violation(f"election safety: nodes {first} and {node} both lead term {term}")

    def vote(self, node: int, term: int, candidate: int) -> None:
        """A node granted its vote."""
        first = self.votes.setdefault((node, term), candidate)
        if first != candidate:
            raise Violation(f"one vote: node {node} voted for {first} and {candidate} in term {term}")

    def term(self, node: int, term: int) -> None:
        """A node is in a term."""
        if term < self.terms.get(node, 0):
            raise Violation(f"monotony: node {node} went from term {self.terms[node]} back to {term}")
        self.terms[node] = term

    def entry(self, node: int, entry: Entry, previous_term: int) -> None:
        """An entry stands in a node's log behind one of previous_term."""
        known = self.seen.setdefault((entry.index, entry.term), (entry.data, previous_term))
        if known != (entry.data, previous_term):
            raise Violation(
                f"log matching: entry {entry.term}/{entry.index} on node {node} differs from another node's"
            )

    def committed(self, node: int, entry: Entry) -> bool:
        """A node holds an entry committed; return whether it is the first to."""
        first = self.chosen.setdefault(entry.index, entry)
        if (first.term, first.data) != (entry.term, entry.data):
            raise Violation(
                f"state machine safety: node {node} committed {entry.term}/{entry.index}, "
                f"another node {first.term}/{first.index}"
            )
        self.highest = max(self.highest, entry.index)
        return first is entry

    def applied(self, node: int, index: int, digest: str) -> None:
        """A node's state after index."""
        if self.digests.setdefault(index, digest) != digest:
            raise Violation(f"state machine safety: node {node} applied something else up to {index}")

    def read(self, node: int, asked_at: int, index: int) -> None:
        """A read that was asked when asked_at was committed is answered with the state at index."""
        if index < asked_at:
            raise Violation(
                f"linearizable reads: node {node} reads at {index}; {asked_at} was committed before"
            )
