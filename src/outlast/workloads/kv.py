"""Workload ``kv``: registers of a key-value store, read, written, compared-and-set. Is each like one copy?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.clock import now_ns
from outlast.history.op import NONE
from outlast.workloads.base import Invocation, Options, Txn
from outlast.workloads.register import VALUES

_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class KvWorkload:
    """As ``register`` does on tables: a new register takes an old one's place every so often (key_ms), which keeps the
    search for a linearization short."""

    name: ClassVar[str] = "kv"
    route: ClassVar[str] = "kv-primary"
    tables: ClassVar[tuple[str, ...]] = ()
    setup: ClassVar[tuple[str, ...]] = ()
    statement: ClassVar[str] = ""
    values_sql: ClassVar[str] = ""
    params: ClassVar[Mapping[str, int]] = {"keys": 3, "key_ms": 1000}
    checkers: ClassVar[tuple[str, ...]] = ("cas_register",)

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield reads, writes and compare-and-sets, evenly."""
        keys, period_ns = options.params["keys"], options.params["key_ms"] * _NS_PER_MS
        while True:
            key = max(0, now_ns() - options.epoch_ns) // max(1, period_ns) + rng.randrange(max(1, keys))
            choice = 0 if options.reads_only else rng.randrange(3)
            if choice == 0:
                yield Invocation(NONE, [], key, Txn("read", ()))
            elif choice == 1:
                yield Invocation(rng.randrange(VALUES), [], key, Txn("write", ()))
            else:
                payload = f"[{rng.randrange(VALUES)},{rng.randrange(VALUES)}]"
                yield Invocation(NONE, [], key, Txn("cas", (), payload))
