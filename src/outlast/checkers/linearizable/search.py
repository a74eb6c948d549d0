"""The search for a linearization of one object: Wing and Gong's, with Lowe's cache.

A configuration is what has been linearized so far and the state that this left behind. Ops are numbered by
invocation. Of the *required* ops (those that were acknowledged) all below ``low`` are in, and of the next few
the set bits of a short ``mask``: as long as ops end soon after they begin, both stay machine words, however
long the history. *Crashed* ops may take effect at any later time or never. They are kept apart, counted by
class (same call, same effect), and tried last.

What keeps the search small:

- An op that only reads is taken at once where it is legal: whatever follows could follow it too. A write of
  the value that is there already is not taken so: it may be needed later.
- Configurations seen before are not entered again (Lowe's cache), nor are those that differ from one seen
  only in having used up more crashed ops.
- Of open ops with the same call only the one that returns first is tried, and a crashed one only when no
  acknowledged one is open: in any linearization they can change places.
- Where no call lessens the state (a counter that only grows), a read of less than it is lost at once.
- A crashed op must pay: an op directly after it that would have led to the same state without it is not
  tried. Of all linearizations the one with the fewest crashed ops never does that, so none is missed.

Sources: Wing and Gong, "Testing and Verifying Concurrent Objects" (JPDC 1993); Lowe, "Testing for
Linearizability" (CCPE 2017); Horn and Kroening, "Faster linearizability checking via P-compositionality"
(FORTE 2015). The windowed mask and the rule for crashed ops are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

ILLEGAL: Final = -1
"""The next state of a call that the state does not allow."""

OPEN: Final = 1 << 62
"""Return position of an op that never returns, and the position after the last event."""

BYTES_PER_CONFIGURATION: Final = 130
"""What one cached configuration costs in a set of integers, measured with CPython 3.11 on random
histories."""

_EAGER_STEPS: Final = 5_000
"""Configurations, beside two an op, that the search by levels waits for."""

_STATE_BITS: Final = 24
_LOW_BITS: Final = 32


class TransitionRow(dict[int, int]):
    """The next state for each call, from one state; filled on demand."""

    __slots__ = ("_state", "_step")

    def __init__(self, state: int, step: Callable[[int, int], int]) -> None:
        self._state = state
        self._step = step

    def __missing__(self, call: int) -> int:
        following = self[call] = self._step(self._state, call)
        return following


@dataclass(frozen=True, slots=True)
class Crashed:
    """A class of crashed ops that do the same. call: its code. invoked: their positions, ascending.
    ops: their numbers in the history, likewise. shift: where its count begins in a configuration."""

    call: int
    invoked: tuple[int, ...]
    ops: tuple[int, ...]
    shift: int

    @property
    def field(self) -> int:
        """The mask of its count, before the shift."""
        return (1 << len(self.invoked).bit_length()) - 1


@dataclass(slots=True)
class SearchFrame:
    """A configuration on the path being explored, and the ways to go on that are still to be tried.

    bound: the first return among ops not yet in: the next op must have been invoked before it. before: the
    state before the crashed op that led here, if it has not paid yet, else −1.
    """

    low: int
    mask: int
    state: int
    used: int
    bound: int
    before: int
    choices: list[int]
    taken: int = 0
    """What was taken greedily when this frame was entered: its low and mask include it already."""
    last: int = -1
    """The choice under exploration: a required op's number, or −2 − class number for a crashed one."""
    crashed_tried: bool = False


@dataclass(slots=True)
class Search:
    """One object's search, run in slices.

    invoked, returned: event positions of the required ops, ascending by invoked. calls: their codes, those of
    ops that only read below n_pure. crashed: classes, by first invocation. rows: the transition
    table, shared by searches of one model: rows[state][call]. targets: a short cut, by call: the one state in
    which a pure call is legal, or the state to which any other call leads from everywhere; −1 asks the table.
    """

    invoked: Sequence[int]
    returned: Sequence[int]
    calls: Sequence[int]
    n_pure: int
    crashed: Sequence[Crashed]
    rows: list[TransitionRow]
    targets: list[int]
    order: Sequence[Any] | None = None
    """By state, something that no call ever lessens, where the model has it: an open op that is legal only in
    a state of less is lost, and so is the configuration."""
    steps: int = 0
    furthest: int = -1
    """The greatest bound reached: when all fails, the return of the op that cannot be placed."""
    furthest_states: set[int] = field(default_factory=set)
    stack: list[SearchFrame] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    seen_using: dict[int, list[int]] = field(default_factory=dict)
    """Configurations with crashed ops used: the counts with which each was entered."""
    later: list[SearchFrame] = field(default_factory=list)
    """Configurations whose crashed choices wait for the next level."""
    level: list[SearchFrame] = field(default_factory=list)
    by_level: bool = False
    """Whether crashed ops are tried level by level rather than as soon as the search is stuck."""
    _guards: int = 0
    _started: bool = False

    def __post_init__(self) -> None:
        self.invoked = [*self.invoked, OPEN]
        self.returned = [*self.returned, OPEN]
        for kind in self.crashed:
            self._guards |= (kind.field + 1) << kind.shift
        self.calls = [*self.calls, -1]  # a sentinel: never looked at

    @property
    def memory_bytes(self) -> int:
        """About what the search holds."""
        configurations = len(self.seen) + 3 * len(self.seen_using)
        frames = len(self.stack) + len(self.later) + len(self.level)
        return configurations * BYTES_PER_CONFIGURATION + frames * 400

    def run(self, budget: int) -> bool | None:
        """Explore up to budget further configurations; True linearizable, False not, None not known yet.

        One step costs about 2 µs and the window of ops open at once.
        """
        limit = self.steps + budget
        if self.crashed and not self.by_level and self.steps > 2 * len(self.calls) + _EAGER_STEPS:
            self._start_levels()
        if not self._started:
            self._started = True
            if self._enter(0, 0, 0, 0, -1):
                return True
        stack, seen, rows, calls, targets = self.stack, self.seen, self.rows, self.calls, self.targets
        while True:
            if self.steps >= limit:
                return None
            if not stack:
                if not self.level:
                    if not self.later:
                        return False
                    self.level, self.later = self.later, []
                stack.append(self.level.pop())
            frame = stack[-1]
            choices = frame.choices
            if not choices:
                if self.crashed and not frame.crashed_tried:
                    frame.crashed_tried = True
                    choices.extend(self._crashed_choices(frame))
                    if choices and self.by_level:
                        self.later.append(stack.pop())
                    if choices:
                        continue
                if frame.bound >= self.furthest:
                    self._stuck(frame.bound, frame.state)
                stack.pop()
                continue
            choice = frame.last = choices.pop()
            low, mask, used, before = frame.low, frame.mask, frame.used, -1
            if choice >= 0:
                state = targets[calls[choice]]
                if state < 0:
                    state = rows[frame.state][calls[choice]]
                mask |= 1 << (choice - low)
                if mask & 1:
                    run = (~mask & (mask + 1)).bit_length() - 1
                    mask >>= run
                    low += run
            else:
                kind = self.crashed[-2 - choice]
                state = rows[frame.state][kind.call]
                used += 1 << kind.shift
                before = frame.state
            packed = (mask << _STATE_BITS | state) << _LOW_BITS | low
            if packed in seen:
                continue  # seen with no crashed op used: it could do all that this one can
            if used:
                if self._dominated(packed, used):
                    continue
            else:
                seen.add(packed)
            if self._enter(low, mask, state, used, before):
                return True

    def _start_levels(self) -> None:
        """Begin again, level by level: all configurations with k crashed ops used before any with k + 1.

        Trying crashed ops as soon as the search is stuck is fast when they explain what was read. When they
        do not, it walks through every way of using them; by level, nearly all of those ways turn out to be
        dominated by a configuration of a lower level.
        """
        for known in (self.stack, self.seen, self.seen_using, self.later, self.level):
            known.clear()
        self.by_level, self._started = True, False

    def _enter(self, low: int, mask: int, state: int, used: int, before: int) -> bool:
        """Take what can be taken greedily, collect the choices, push the frame; True when all ops are in."""
        self.steps += 1
        invoked, returned, calls, n_pure = self.invoked, self.returned, self.calls, self.n_pure
        targets, row, order = self.targets, self.rows[state], self.order
        bound, lost = OPEN, False
        choices: list[int] = []
        taken = 0
        index, rest, bit, urgent = low, mask, 1, -1
        while invoked[index] < bound:
            if rest & 1:
                if rest & 0xFFFF == 0xFFFF:  # one op stays open over many: pass them all at once
                    run = (~rest & (rest + 1)).bit_length() - 2
                    index, bit, rest = index + run, bit << run, rest >> run
                rest >>= 1
            else:
                rest >>= 1
                call = calls[index]
                target = targets[call]
                if call < n_pure:
                    following = target if target >= 0 else row[call]
                    if following == state:
                        taken |= bit
                    else:
                        if returned[index] < bound:
                            bound = returned[index]
                            urgent = call
                        if order is not None and order[target] < order[state]:
                            lost = True
                        if target < 0 <= following:
                            choices.append(index)  # it binds an initial value: see multi-register
                else:
                    if returned[index] < bound:
                        bound = returned[index]
                        urgent = -1
                    if target >= 0 or row[call] >= 0:
                        choices.append(index)
            index += 1
            bit <<= 1
        if lost:
            if bound >= self.furthest:
                self._stuck(bound, state)
            return False
        if before >= 0:
            earlier = self.rows[before]
            if any(
                taken >> offset & 1 and earlier[calls[low + offset]] != before
                for offset in range(taken.bit_length())
            ):
                before = -1  # an op was taken that only the crashed op made legal: it has paid
            else:
                choices = [op for op in choices if earlier[calls[op]] != row[calls[op]]]
        if taken:
            mask |= taken
            if mask & 1:
                run = (~mask & (mask + 1)).bit_length() - 1
                mask >>= run
                low += run
        if bound == OPEN and low >= len(invoked) - 1:
            self.stack.append(SearchFrame(low, mask, state, used, bound, before, [], taken))
            return True
        if len(choices) > 1:
            choices = self._by_urgency(choices, urgent)
        self.stack.append(SearchFrame(low, mask, state, used, bound, before, choices, taken))
        return False

    def _by_urgency(self, choices: list[int], urgent: int) -> list[int]:
        """Return what to try, the most urgent last. urgent: the call of the op that returns first, if it is a
        read of something else, else −1: what makes it legal is tried first."""
        returned, calls, targets = self.returned, self.calls, self.targets
        choices.sort(key=returned.__getitem__, reverse=True)
        alike = {calls[op]: op for op in choices}  # the last one, which returns first
        if len(alike) < len(choices):
            choices = [op for op in choices if alike[calls[op]] == op]
        wanted = targets[urgent] if urgent >= 0 else -1
        for place in range(len(choices) - 2, -1, -1) if wanted >= 0 else ():
            if targets[calls[choices[place]]] == wanted:
                choices.append(choices.pop(place))
                break
        return choices

    def _dominated(self, packed: int, used: int) -> bool:
        """Whether the configuration was entered before with no more of any crashed class used; note it."""
        entered = self.seen_using.setdefault(packed, [])
        guards = self._guards
        for counts in entered:
            # Fields are a bit wider than their counts: a guard bit survives where nothing is borrowed.
            if ((used | guards) - counts) & guards == guards:
                return True
        entered.append(used)
        return False

    def _crashed_choices(self, frame: SearchFrame) -> list[int]:
        """Return the crashed classes worth trying: available, effective, and not repaying an earlier one."""
        row = self.rows[frame.state]
        earlier = self.rows[frame.before] if frame.before >= 0 else None
        choices = []
        open_calls = self._open_calls(frame)
        for number, kind in enumerate(self.crashed):
            if kind.invoked[0] >= frame.bound:
                break
            count = frame.used >> kind.shift & kind.field
            if count == len(kind.invoked) or kind.invoked[count] >= frame.bound:
                continue
            following = row[kind.call]
            if following < 0 or following == frame.state:
                continue
            if earlier is not None and earlier[kind.call] == following:
                continue
            if kind.call in open_calls:
                continue
            choices.append(-2 - number)
        return choices

    def _open_calls(self, frame: SearchFrame) -> set[int]:
        """Return the calls of the required ops that are not in yet and may come next."""
        found: set[int] = set()
        index, rest = frame.low, frame.mask
        while self.invoked[index] < frame.bound:
            if not rest & 1:
                found.add(self.calls[index])
            index, rest = index + 1, rest >> 1
        return found

    def _stuck(self, bound: int, state: int) -> None:
        if bound > self.furthest:
            self.furthest = bound
            self.furthest_states.clear()
        if len(self.furthest_states) < 16:
            self.furthest_states.add(state)

    def linearization(self) -> list[int]:
        """Return the order of the path being explored: required ops' numbers, crashed ones as −1 − number.

        Empty when the search went by levels, which keep no path.
        """
        if self.by_level:
            return []
        order: list[int] = []
        low, mask = 0, 0
        for frame in self.stack:
            greedy = frame.taken
            base = low
            order.extend(base + offset for offset in range(greedy.bit_length()) if greedy >> offset & 1)
            if frame.last >= 0:
                order.append(frame.last)
                low, mask = frame.low, frame.mask | 1 << (frame.last - frame.low)
                run = (~mask & (mask + 1)).bit_length() - 1
                low, mask = low + run, mask >> run
            else:
                low, mask = frame.low, frame.mask
                if frame.last < -1:
                    kind = self.crashed[-2 - frame.last]
                    order.append(-1 - kind.ops[frame.used >> kind.shift & kind.field])
        return order
