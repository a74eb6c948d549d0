"""Workload ``register``: reads, writes and compare-and-sets of single registers. Does it behave like one copy?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.clock import now_ns
from outlast.history.op import NONE
from outlast.workloads.base import SERVED_BY, Answers, Invocation, Options, Txn, TxnStep
from outlast.workloads.micro_ops import number
from outlast.workloads.rw_register import READ, WRITE

VALUES: Final = 5
"""How many values there are: few, so that a compare-and-set often finds what it expects."""

_NS_PER_MS: Final = 1_000_000
_WRITE: Final = WRITE.format(table="outlast_register").encode()
_READ: Final = READ.format(table="outlast_register").encode()
_CAS: Final = (
    "UPDATE outlast_register SET value = $3::bigint WHERE key = $1::bigint AND value = $2::bigint "
    f"RETURNING {SERVED_BY}, true"
).encode()


@dataclass(frozen=True, slots=True)
class RegisterWorkload:
    """Uses registers in ``outlast_register``; a new one takes an old one's place every so often, which keeps the
    search for a linearization short."""

    name: ClassVar[str] = "register"
    tables: ClassVar[tuple[str, ...]] = ("outlast_register",)
    setup: ClassVar[tuple[str, ...]] = (
        "DROP TABLE IF EXISTS outlast_register",
        "CREATE TABLE outlast_register (key bigint PRIMARY KEY, value bigint NOT NULL)",
    )
    statement: ClassVar[str] = ""
    values_sql: ClassVar[str] = ""
    params: ClassVar[Mapping[str, int]] = {"keys": 3, "key_ms": 200, "readers": 0}
    checkers: ClassVar[tuple[str, ...]] = ("cas_register",)

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield reads, writes and compare-and-sets, evenly."""
        keys, period_ns = options.params["keys"], options.params["key_ms"] * _NS_PER_MS
        while True:
            key = max(0, now_ns() - options.epoch_ns) // period_ns + rng.randrange(keys)
            choice = 0 if options.reads_only else rng.randrange(3)
            if choice == 0:
                yield Invocation(NONE, [], key, Txn("read", (TxnStep(_READ, (number(key),)),), None, _read))
            elif choice == 1:
                value = rng.randrange(VALUES)
                step = TxnStep(_WRITE, (number(key), number(value)), needed=True)
                yield Invocation(value, [], key, Txn("write", (step,)))
            else:
                yield _cas(key, rng.randrange(VALUES), rng.randrange(VALUES))


def _read(answers: Answers) -> int | str:
    """A read of a register that was never written saw nil, which ``[null]`` says."""
    return "[null]" if answers[0] is None else int(answers[0])


def _cas(key: int, expected: int, new: int) -> Invocation:
    """A compare-and-set that found another value was served and missed: ``[expected]`` says so."""

    def told(answers: Answers) -> str | None:
        return f"[{expected}]" if answers[0] is None else None

    step = TxnStep(_CAS, (number(key), number(expected), number(new)))
    return Invocation(NONE, [], key, Txn("cas", (step,), f"[{expected},{new}]", told))
