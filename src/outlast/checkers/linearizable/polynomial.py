"""Which models have a test that needs no search, and what it says of a history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from outlast.checkers.linearizable.chain import chain
from outlast.checkers.linearizable.fifo import fifo
from outlast.checkers.linearizable.intervals import Decision
from outlast.checkers.linearizable.models import MODELS, Model
from outlast.checkers.linearizable.zones import zones
from outlast.history.op import Ops, Outcome

TESTS: Final[dict[str, Callable[[Model, Ops], Decision]]] = {
    "register": zones,
    "cas-register": zones,
    "queue": fifo,
    "set": chain,
}
"""By model. A test decides the objects that it can, for certain, and leaves the others to the search."""


def decide(model: Model, ops: Ops) -> Decision | None:
    """Return what the model's test says; None where it has none or there is nothing to judge.

    Raises ValueError or TypeError for a value that the model cannot take. O(n log n).
    """
    known = MODELS.get(model.name)
    if model.name not in TESTS or known is None or known.step is not model.step:
        return None
    return TESTS[model.name](model, ops) if (ops.outcome != int(Outcome.FAIL)).any() else None
