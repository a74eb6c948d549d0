"""Jepsen's histories in EDN: one map an event, bare, in [ ] or in ( ), with comments, tagged or not."""

from __future__ import annotations

from outlast.history.formats.edn import line_of, read_forms
from outlast.history.formats.jepsen_events import event_ops
from outlast.history.op import Ops


def read_jepsen_edn(text: str, file: str | None = None) -> Ops:
    """Return the client ops of a Jepsen history.

    text: the whole file. Raises HistoryError, naming the line, for text that is cut short and for events that
    make no sense (``event_ops``). O(length).
    """
    return event_ops(read_forms(text, file), file, lambda offset: line_of(text, offset))
