"""The search agrees with a brute-force one, spares correct stores, and stops when it is told to."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.checkers.base import Finding
from outlast.checkers.linearizable import search
from outlast.checkers.linearizable.check import Linearizable
from outlast.checkers.linearizable.models import MODELS, UNKNOWN, Call
from outlast.clock import deadline_ns
from outlast.history.formats.events import EventPairer
from outlast.history.formats.jepsen_edn import read_jepsen_edn
from outlast.history.history import History
from outlast.history.op import Ops, Outcome
from outlast.history.sketch import sketch
from outlast.history.values import freeze
from outlast.testing.simulated_history import register_history

CLEAN = int(os.environ.get("OUTLAST_CLEAN_HISTORIES", "150"))
Op = tuple[Call, int, int | None]
"""(call, invoked, returned or None): what the brute-force search takes."""


def check(ops: Ops, model: str = "register", timeout_s: float = 20) -> Finding:
    return Linearizable(model).check(History(ops), deadline_ns(timeout_s))


def linearizable_by_brute_force(model: str, ops: list[Op]) -> bool:
    seen: set[tuple[frozenset[int], Any]] = set()

    def place(done: frozenset[int], state: Any) -> bool:
        if (done, state) in seen:
            return False
        seen.add((done, state))
        left = [index for index in range(len(ops)) if index not in done]
        returns = [returned for index in left if (returned := ops[index][2]) is not None]
        if not returns:
            return True
        return any(
            place(done | {index}, following[0])
            for index in left
            if ops[index][1] < min(returns)
            and (following := MODELS[model].step(state, ops[index][0])) is not None
        )

    return place(frozenset(), MODELS[model].initial)


def _random_value(rng: random.Random, model: str, f: str) -> Any:
    if f == "txn":
        return [[rng.choice("rw"), rng.choice("xy"), rng.randrange(2)] for _ in range(rng.randint(1, 2))]
    if f == "cas":
        return [rng.randrange(3), rng.randrange(3)][: 1 + (rng.random() < 0.7)]
    if f == "get":
        return "".join(rng.choice("abc") for _ in range(rng.randrange(3)))
    if f == "read" and model == "set":
        return [element for element in range(3) if rng.random() < 0.5]
    if f in ("acquire", "release"):
        return None
    return "abc"[rng.randrange(3)] if model == "kv" else rng.randrange(4)


def random_history(rng: random.Random) -> tuple[str, Ops, list[Op]]:
    """Return a model and a small random history of it, both as ops and for brute force."""
    model = rng.choice(sorted(name for name, spec in MODELS.items() if not spec.owned))
    functions = sorted(MODELS[model].functions - {"remove", "increment", "inc", "dec", "decrement"})
    functions = ["txn"] if model == "multi-register" else functions
    reads = ("read", "get", "dequeue")
    pairer = EventPairer()
    rows: list[tuple[Call, int, int | None]] = []
    waiting: dict[int, tuple[str, Any, int]] = {}
    clients = list(range(rng.randint(2, 4)))
    for position in range(rng.randint(4, 18)):
        slot = rng.randrange(len(clients))
        if slot not in waiting:
            f = rng.choice(functions)
            value: Any = None if f in reads else _random_value(rng, model, f)
            value = [*value, 1][:2] if f == "cas" else value
            pairer.invoke(clients[slot], f, None, value)
            waiting[slot] = (f, value, position)
            continue
        f, value, invoked = waiting.pop(slot)
        outcome = rng.choice([Outcome.OK] * 6 + [Outcome.INFO] * 2 + [Outcome.FAIL])
        if outcome is Outcome.OK and (f in reads or f == "cas"):
            value = _random_value(rng, model, f)
        pairer.complete(clients[slot], outcome, value, f=f)
        if outcome is Outcome.OK:
            frozen = frozenset(value) if model == "set" and f == "read" else value
            rows.append((_call(f, frozen), invoked, position))
        elif outcome is Outcome.INFO:
            clients[slot] += 10
            rows.append((_call(f, UNKNOWN if f in reads else value), invoked, None))
    for f, value, invoked in waiting.values():
        rows.append((_call(f, UNKNOWN if f in reads else value), invoked, None))
    return model, pairer.ops(), rows


def _call(f: str, value: Any) -> Call:
    return Call(f, freeze(value))


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_verdict_is_that_of_brute_force(seed: int, by_level: bool) -> None:
    model, ops, rows = random_history(random.Random(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_EAGER_STEPS", -(10**6) if by_level else 5000)
        verdict = check(ops, model).verdict
    assert (verdict == "pass") is linearizable_by_brute_force(model, rows)


@settings(max_examples=CLEAN, deadline=None)
@given(st.integers(0, 2**32))
def test_correct_register_is_never_accused(seed: int) -> None:
    rng = random.Random(seed)
    ops = register_history(
        rng.randint(1, 60),
        processes=rng.randint(1, 8),
        values=rng.randint(1, 6),
        seed=seed,
        crash_share=rng.choice((0, 0.05, 0.3)),
    )
    assert check(ops).verdict == "pass"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_one_wrong_read_is_always_found(seed: int) -> None:
    ops = register_history(80, seed=seed, stale_at=random.Random(seed).randrange(20, 50))
    finding = check(ops)
    assert finding.verdict == "fail"
    wrong = int(np.flatnonzero(ops.value == 10)[0])
    assert finding.evidence[0].ops[0] == wrong


def test_explanation_names_op_states_and_prefix() -> None:
    finding = check(sketch("0 does write 1\n0 invoke write 2\n1 does read 1\n0 ok\n1 does read 1"))
    evidence = finding.evidence[0]
    assert evidence.ops == (3,)
    assert evidence.details["states"] == ["2"]
    assert evidence.details["linearizable_prefix_ops"] == 3
    assert evidence.details["last_linearized"] == [
        "process 0 write 1",
        "process 1 read 1",
        "process 0 write 2",
    ]
    assert "process 1 read 1, but" in finding.summary


def test_a_write_of_the_same_value_is_not_taken_early() -> None:
    # The second write of 1 must come after that of 2, although the register holds 1 already.
    history = "0 does write 1\n1 invoke write 1\n2 does write 2\n3 does read 1\n1 ok"
    assert check(sketch(history)).verdict == "pass"


def test_keys_are_independent_and_so_are_jepsens_tuples() -> None:
    assert check(sketch("0 does put x: 1\n0 does put y: 2\n0 does get x: 1"), "kv").verdict == "pass"
    tuples = "0 does write [7,1]\n0 does write [8,2]\n0 does read [7,{}]"
    assert check(sketch(tuples.format(1))).verdict == "pass"
    bad = check(sketch(tuples.format(2)))
    assert bad.verdict == "fail"
    assert bad.evidence[0].details["object"] == "7"


def test_history_without_client_ops_is_a_pass_that_says_so() -> None:
    finding = check(read_jepsen_edn("{:process :nemesis :type :info :f :start}"))
    assert (finding.verdict, finding.summary) == ("pass", "no client operations: nothing to judge")


def test_unknown_function_is_no_verdict() -> None:
    finding = check(sketch("0 does write 1\n0 does frobnicate 2"))
    assert finding.verdict == "unknown"
    assert "op 1 calls :frobnicate" in finding.summary


def test_a_million_crashed_writes_are_one_class() -> None:
    n = 1_000_000
    base = register_history(200, seed=3, stale_at=150)
    crashed = {
        "process": np.arange(100, 100 + n, dtype=np.int32),
        "f": np.ones(n, dtype=np.int16),
        "value": np.arange(100, 100 + n),
        "outcome": np.full(n, int(Outcome.INFO), dtype=np.uint8),
    }
    columns: dict[str, Any] = {}
    for name in Ops.__slots__:
        column = getattr(base, name)
        if isinstance(column, np.ndarray):
            filler = crashed.get(name, np.full(n, column[0], dtype=column.dtype))
            columns[name] = np.concatenate([filler, column]).astype(column.dtype)
        else:
            columns[name] = column
    columns["invoke_pos"][:n] = np.arange(n)
    columns["invoke_pos"][n:] += n
    columns["complete_pos"][:n] = np.iinfo(np.int64).max
    columns["complete_pos"][n:] += n
    assert check(Ops(**columns), timeout_s=60).verdict == "fail"


def test_deadline_and_memory_give_unknown_with_what_was_searched() -> None:
    ops = sketch("\n".join(f"{p} invoke add {2 << p}" for p in range(24)) + f"\n95 does read {(2 << 23) + 1}")
    late = check(ops, "counter", timeout_s=0.3)
    assert late.verdict == "unknown"
    assert "the deadline passed after" in late.summary
    small = Linearizable("counter", memory_bytes_max=1 << 20).check(History(ops), deadline_ns(20))
    assert small.verdict == "unknown"
    assert "memory limit of 1 MiB" in small.summary


def test_a_hard_key_does_not_starve_a_cheap_illegal_one() -> None:
    hard = "\n".join(f"{p} invoke add x: {1 << p}" for p in range(18))
    cheap = "90 does add y: 1\n90 does read y: 5"
    end = "95 does read x: -1"
    finding = check(sketch(f"{hard}\n{end}\n{cheap}"), "counter")
    assert finding.verdict == "fail"
    assert finding.evidence[0].details["object"] in ("x", "y")


@pytest.mark.parametrize("model", sorted(MODELS))
def test_model_steps_are_pure_and_refuse_nothing_of_their_own(model: str) -> None:
    spec = MODELS[model]
    assert spec.matches <= spec.pure <= spec.functions
    assert spec.overwrites <= spec.functions - spec.pure
