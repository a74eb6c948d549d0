"""What ``list-append`` and ``rw-register`` share: short random transactions over keys that come and go.

Elle's generator: a few keys are live at a time, each for a while, so that transactions meet on them and lists stay
short. Which keys are live is told by the clock, so that all clients agree without talking to each other, however
fast each of them is. Writes of a transaction are in the order of their keys, which keeps deadlocks (a second of
waiting each) away and takes nothing from the anomalies: those come from what is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Final

from outlast.clock import now_ns
from outlast.history.op import NONE
from outlast.workloads.base import Answers, Invocation, Options, Txn, TxnStep, small_number

PARAMS: Final[Mapping[str, int]] = {"keys": 5, "key_ms": 40, "mops_max": 4, "readers": 0}
"""keys: live at a time. key_ms: how often one of them is replaced. mops_max: micro-operations of a transaction.
readers: clients that only read, at any node."""

_NS_PER_MS: Final = 1_000_000


def micro_op_calls(
    process: int,
    rng: Random,
    options: Options,
    write: str,
    step: Callable[[str, int, int], TxnStep],
    read: Callable[[bytes | None], object],
) -> Iterator[Invocation]:
    """Yield transactions of micro-operations for ever.

    write: how a write is called, ``append`` or ``w``. step: from (function, key, value) to its statement. read:
    from what a read's statement gave to the value that the history shows.
    """
    keys, period_ns = options.params["keys"], options.params["key_ms"] * _NS_PER_MS
    number = 0
    while True:
        oldest = max(0, now_ns() - options.epoch_ns) // period_ns
        length = rng.randint(1, options.params["mops_max"])
        chosen = [oldest + rng.randrange(keys) for _ in range(length)]
        writes = [not options.reads_only and rng.random() < 0.5 for _ in range(length)]
        in_order = iter(sorted(key for key, is_write in zip(chosen, writes, strict=True) if is_write))
        mops: list[list[object]] = []
        steps: list[TxnStep] = []
        for key, is_write in zip(chosen, writes, strict=True):
            if is_write:
                key, number = next(in_order), number + 1
            value = small_number(process, number)
            mops.append([write, key, value] if is_write else ["r", key, None])
            steps.append(step(write if is_write else "r", key, value))
        yield Invocation(NONE, [], None, Txn("txn", steps, _text(mops), _teller(mops, read)))


def _teller(mops: list[list[object]], read: Callable[[bytes | None], object]) -> Callable[[Answers], str]:
    def told(answers: Answers) -> str:
        filled = [
            [f, key, read(answer) if f == "r" else value]
            for (f, key, value), answer in zip(mops, answers, strict=True)
        ]
        return _text(filled)

    return told


def _text(mops: list[list[object]]) -> str:
    return json.dumps(mops, separators=(",", ":"))


def number(value: int) -> bytes:
    """Return an integer as a statement's parameter."""
    return b"%d" % value
