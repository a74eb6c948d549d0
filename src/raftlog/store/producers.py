"""Idempotent producers: a batch that is sent again, after an answer was lost, is not appended again.

Kept per partition and producer: its epoch and its last batches, five as in Kafka, because a producer may have
five requests under way. Source: Kafka KIP-98.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from raftlog.store.commands import Outcome
from raftlog.store.record_batch import RecordBatch

_REMEMBERED: Final = 5
PRODUCERS_MAX: Final = 10_000
"""Producers remembered a partition; the one that was silent longest is forgotten first, on every node
alike."""

State = dict[str, list[list[int]]]


class Producers:
    """What one partition remembers of its producers."""

    def __init__(self, state: State | None = None) -> None:
        self._last: OrderedDict[int, list[list[int]]] = OrderedDict(
            (int(producer), batches) for producer, batches in (state or {}).items()
        )

    def check(self, batch: RecordBatch) -> Outcome | None:
        """Return None when the batch is to be appended, else its answer: an earlier offset, or an error."""
        known = self._last.get(batch.producer)
        if not known:
            # As a broker that has forgotten the producer does: the first batch seen sets the pace.
            return None
        for epoch, first, last, offset in known:
            if (epoch, first, last) == (batch.epoch, batch.sequence, batch.sequence + batch.records - 1):
                return Outcome("", offset)
        epoch, _, last, _ = known[-1]
        if batch.epoch < epoch:
            return Outcome("INVALID_PRODUCER_EPOCH")
        expected = 0 if batch.epoch > epoch else (last + 1) & 0x7FFFFFFF
        return None if batch.sequence == expected else Outcome("OUT_OF_ORDER_SEQUENCE_NUMBER")

    def note(self, batch: RecordBatch, offset: int) -> None:
        """Remember an appended batch."""
        known = self._last.setdefault(batch.producer, [])
        last = (batch.sequence + batch.records - 1) & 0x7FFFFFFF
        known.append([batch.epoch, batch.sequence, last, offset])
        del known[:-_REMEMBERED]
        self._last.move_to_end(batch.producer)
        if len(self._last) > PRODUCERS_MAX:
            self._last.popitem(last=False)

    def state(self) -> State:
        """Return what is remembered, for a snapshot."""
        return {str(producer): [list(batch) for batch in batches] for producer, batches in self._last.items()}
