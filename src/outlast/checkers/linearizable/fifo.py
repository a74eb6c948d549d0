"""Queues in which each element is enqueued once: no search, O(n log n).

Such a queue is linearizable when each element comes out at most once and not before it goes in; when no two come out
in the wrong order (a went in before b did, and b came out before a, or a never did); and when each answer of "empty"
has a moment at which no element is surely there.

A crashed enqueue whose element never came out may be left out. A crashed dequeue may have taken any element that never
came out: with enough of those ops, and early enough, the missing elements do no harm. Where answers of "empty"
compete for crashed dequeues, only the search decides.

Sources: Henzinger, Sezgin and Vafeiadis, "Aspect-oriented linearizability proofs" (CONCUR 2013); Bouajjani, Emmi, Enea
and Hamza, "On reducing linearizability to state reachability" (ICALP 2015). Crashed dequeues are ours.
"""

from __future__ import annotations

import numpy as np

from outlast.checkers.linearizable.intervals import Decision, Violation, intervals
from outlast.checkers.linearizable.models import Model
from outlast.checkers.linearizable.stays import Stays, next_free
from outlast.history.op import I64, Mask, Ops

_TEST = "the order of elements, each enqueued once"


def fifo(model: Model, ops: Ops) -> Decision:
    """Judge queues. Decides those whose elements were each enqueued once, where crashed dequeues allow it."""
    stays = Stays.of(ops, intervals(model, ops), "enqueue", "dequeue")
    if isinstance(stays, Violation):
        return Decision(_TEST, np.zeros(len(ops), dtype=np.bool_), stays)
    if not len(stays.into):
        return Decision(*stays.decision(_TEST, ops, None))
    due = _due(stays)
    missing = stays.out < 0
    violation = _wrong_order(stays, due) or _too_few(stays, due, missing) or _never_empty(stays, due, missing)
    return Decision(*stays.decision(_TEST, ops, violation))


def _due(stays: Stays) -> I64:
    """Return by element the first end of a dequeue of one that surely went in after it."""
    by_begin = np.argsort(stays.into_begin, kind="stable")
    never = int(stays.ops.last.max()) + 1
    earliest = np.append(np.minimum.accumulate(stays.out_end[by_begin][::-1])[::-1], never)
    return earliest[np.searchsorted(stays.into_begin[by_begin], stays.into_end)]


def _wrong_order(stays: Stays, due: I64) -> Violation | None:
    """Return an element that came out, but only after one that went in later."""
    wrong = np.flatnonzero((stays.out >= 0) & (due < stays.out_begin))
    return _overtaken(stays, int(wrong[np.argmin(due[wrong])]), due, "came out later") if len(wrong) else None


def _overtaken(stays: Stays, element: int, due: I64, when: str) -> Violation:
    ops = stays.ops
    other = int(np.flatnonzero((stays.out_end == due[element]) & (stays.out >= 0))[0])
    first, second = (ops.op[stays.into[each]] for each in (element, other))
    name, other_name = (ops.values.name(int(ops.value[stays.into[each]])) for each in (element, other))
    culprit = int(ops.op[stays.out[other]])
    out = () if stays.out[element] < 0 else (int(ops.op[stays.out[element]]),)
    return Violation(
        f"op {culprit} dequeued {other_name}, and {name}, which op {first} had enqueued before op {second} "
        f"enqueued {other_name}, {when}",
        culprit,
        (int(first), int(second), *out),
    )


def _in_time(stays: Stays, wanted: I64, key: I64) -> I64:
    """Return how many crashed dequeues of each object began before a place."""
    begun = np.sort(stays.ops.begin[stays.crashed])
    return np.searchsorted(begun, wanted) - np.searchsorted(begun, stays.ops.first[key])


def _short(stays: Stays, due: I64, missing: Mask) -> I64:
    """Return the elements that never came out, were due, and for which too few crashed dequeues began in time."""
    key = stays.ops.key[stays.into]
    late = np.flatnonzero(missing & (due < stays.ops.last[key]))
    late = late[np.lexsort((due[late], key[late]))]
    fresh = np.diff(key[late], prepend=-1) != 0
    place = np.arange(len(late))
    rank = place - np.maximum.accumulate(np.where(fresh, place, 0)) if len(late) else place
    return late[_in_time(stays, due[late], key[late]) <= rank]


def _too_few(stays: Stays, due: I64, missing: Mask) -> Violation | None:
    short = _short(stays, due, missing)
    return _overtaken(stays, int(short[0]), due, "never came out") if len(short) else None


def _never_empty(stays: Stays, due: I64, missing: Mask) -> Violation | None:
    """Return an answer of "empty" while something was surely there; note the objects where it is not sure."""
    if not len(stays.empties):
        return None
    ops = stays.ops
    begin, end = ops.begin[stays.empties], ops.end[stays.empties]
    all_covered = stays.covered(np.ones(len(stays.into), dtype=np.bool_))
    free = next_free(all_covered == 0)[begin]
    sure = free < end
    if sure.all():
        return None
    # The others need crashed dequeues for all that is missing by then.
    places = np.arange(len(all_covered))
    object_of = np.maximum(np.searchsorted(ops.first, places, side="right") - 1, 0)
    gone = _in_time(stays, places + 1, object_of)
    covered_by_missing = stays.covered(missing)
    enough = (all_covered == covered_by_missing) & (covered_by_missing <= gone)
    chosen = next_free(enough)[begin]
    wrong = np.flatnonzero(~sure & (chosen >= end))
    if len(wrong):
        return _not_empty(stays, int(stays.empties[wrong[np.argmin(end[wrong])]]))
    moments = np.sort(chosen[~sure])
    at = np.append(moments, int(ops.last.max()) + 1)[np.searchsorted(moments, stays.into_end)]
    short = _short(stays, np.minimum(due, at + 1), missing)
    stays.undecided[ops.key[stays.into[short]]] = True
    return None


def _not_empty(stays: Stays, place: int) -> Violation:
    ops = stays.ops
    over = np.flatnonzero((stays.into_end <= ops.begin[place]) & (stays.out_begin > ops.begin[place]))
    there = over[np.argmax(stays.out_begin[over])] if len(over) else None
    op = int(ops.op[place])
    if there is None:
        return Violation(f"op {op} found the queue empty, and at no moment of it it was", op, ())
    name, maker = ops.values.name(int(ops.value[stays.into[there]])), int(ops.op[stays.into[there]])
    return Violation(
        f"op {op} found the queue empty, and {name}, which op {maker} had enqueued, was there", op, (maker,)
    )
