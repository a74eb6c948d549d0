"""Where each value is written once, no search is needed: many clients and many ops are decided, and said how."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from outlast.checkers.base import Finding
from outlast.checkers.linearizable.check import Linearizable
from outlast.clock import deadline_ns
from outlast.history.formats.events import EventPairer
from outlast.history.history import History
from outlast.history.op import Ops, Outcome
from outlast.history.sketch import sketch
from outlast.testing.simulated_history import distinct_history


def check(ops: Ops, model: str) -> Finding:
    return Linearizable(model).check(History(ops), deadline_ns(60))


def crashed(ops: Ops, share: float) -> Ops:
    """Return ops with a share of the acknowledgements lost: what happened stays possible."""
    lost = np.random.default_rng(3).random(len(ops)) < share
    return replace(ops, outcome=np.where(lost, int(Outcome.INFO), ops.outcome).astype(np.uint8))


@pytest.mark.parametrize("model", ["register", "queue"])
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_a_hundred_clients_on_one_object_are_decided_without_search(model: str, share: float) -> None:
    finding = check(crashed(distinct_history(model, 10_000), share), model)
    assert finding.verdict == "pass"
    assert "configurations" not in finding.summary
    assert "each" in finding.summary


def test_a_stale_read_among_a_hundred_clients_is_found() -> None:
    ops = distinct_history("register", 10_000)
    read = int(np.flatnonzero(ops.f_is("read"))[-1])
    value = ops.value.copy()
    value[read] = 17 if 17 in ops.value[ops.f_is("write")] else 18
    finding = check(replace(ops, value=value), "register")
    assert finding.verdict == "fail"
    assert read in finding.evidence[0].ops


def test_an_element_overtaken_among_a_hundred_clients_is_found() -> None:
    ops = distinct_history("queue", 10_000)
    taken = np.flatnonzero(ops.f_is("dequeue") & (ops.value >= 0))
    first, last = int(taken[0]), int(taken[-1])
    value = ops.value.copy()
    value[first], value[last] = value[last], value[first]
    assert check(replace(ops, value=value), "queue").verdict == "fail"


@pytest.mark.parametrize(
    ("model", "history"),
    [
        ("register", "0 does write 1\n1 does read 9"),
        ("cas-register", "0 does write 1\n1 does cas [9, 2]"),
        ("queue", "0 does enqueue 1\n1 does dequeue 9"),
        ("set", "0 does add 1\n1 does read [1, 9]"),
    ],
)
def test_a_value_that_nobody_wrote_is_found_by_looking(model: str, history: str) -> None:
    # Two dozen open writes of the same value twice: no test applies and a search would not end.
    asks = {"queue": "enqueue", "set": "add"}.get(model, "write")
    crowd = "\n".join(f"{p} invoke {asks} {100 + p // 2}" for p in range(10, 58))
    finding = check(sketch(f"{crowd}\n{history}"), model)
    assert finding.verdict == "fail"
    assert "9, which nobody" in finding.summary


def test_thirty_clients_on_a_set_are_decided_without_search() -> None:
    def grown(wrong: int | None) -> Ops:
        pairer, members = EventPairer(), list[int]()
        for turn in range(40):
            for client in range(30):
                f = "read" if (turn + client) % 2 else "add"
                pairer.invoke(client, f, None, None if f == "read" else turn * 30 + client)
            for client in range(30):
                element = turn * 30 + client
                if (turn + client) % 2:
                    seen = [each for each in members if each != wrong or client != 1]
                    pairer.complete(client, Outcome.OK, seen, f="read")
                else:
                    members.append(element)
                    pairer.complete(client, Outcome.OK, element, f="add")
        return pairer.ops()

    right = check(grown(None), "set")
    assert (right.verdict, "configurations" in right.summary) == ("pass", False)
    assert check(grown(2), "set").verdict == "fail"


def test_a_chain_of_compare_and_sets_is_one_value() -> None:
    chain = "0 does write 1\n1 invoke cas [1, 2]\n2 invoke cas [2, 3]\n3 does read {}\n1 ok\n2 ok"
    assert "zones" in check(sketch(chain.format(3)), "cas-register").summary
    assert check(sketch(chain.format(3)), "cas-register").verdict == "pass"
    assert check(sketch(chain.format(3) + "\n4 does read 2"), "cas-register").verdict == "fail"
    assert check(sketch(chain.format(3) + "\n4 does cas [1, 5]"), "cas-register").verdict == "fail"


def test_crashed_dequeues_explain_as_many_missing_elements_as_there_are() -> None:
    history = "0 does enqueue 1\n0 does enqueue 2\n0 does enqueue 3\n{}\n1 does dequeue 3"
    one, two = "5 invoke dequeue", "5 invoke dequeue\n6 invoke dequeue"
    assert check(sketch(history.format(two)), "queue").verdict == "pass"
    assert check(sketch(history.format(one)), "queue").verdict == "fail"


def _counted(wrong: int) -> Ops:
    """Return rounds of 30 clients at once on a counter; the last but one read is wrong by so much."""
    rng, pairer, total = np.random.default_rng(5), EventPairer(), 0
    for turn in range(34):
        amounts = rng.integers(1, 6, 30).tolist()
        for client, amount in enumerate(amounts):
            reads = (turn + client) % 2
            pairer.invoke(client, "read" if reads else "add", None, None if reads else amount)
        for client in rng.permutation(30).tolist():
            if (turn + client) % 2:
                pairer.complete(client, Outcome.OK, total + wrong * (turn == 32), f="read")
            else:
                total += amounts[client]
                pairer.complete(client, Outcome.OK, amounts[client], f="add")
    return pairer.ops()


def test_thirty_clients_on_a_counter_are_searched_to_the_end() -> None:
    assert check(_counted(0), "counter").verdict == "pass"
    assert check(_counted(-500), "counter").verdict == "fail"


def test_ops_that_do_the_same_are_not_tried_in_every_order() -> None:
    crowd = "\n".join(f"{p} invoke add 1" for p in range(40))
    finding = check(
        sketch(f"{crowd}\n90 does read 17\n" + "\n".join(f"{p} ok" for p in range(40))), "counter"
    )
    assert finding.verdict == "pass"
    wrong = sketch(f"{crowd}\n" + "\n".join(f"{p} ok" for p in range(40)) + "\n90 does read 39")
    assert check(wrong, "counter").verdict == "fail"


def test_the_memory_limit_counts_what_states_take() -> None:
    # Thirty open enqueues of elements that occur twice: each configuration has a state of its own.
    crowd = "\n".join(f"{p} invoke enqueue {p // 2 % 12}" for p in range(30))
    oks = "\n".join(f"{p} ok" for p in range(30))
    finding = Linearizable("queue", memory_bytes_max=8 << 20).check(
        History(sketch(f"{crowd}\n{oks}\n" + "\n".join("90 does dequeue 3" for _ in range(3)))),
        deadline_ns(120),
    )
    assert finding.verdict == "unknown"
    assert "memory limit of 8 MiB" in finding.summary
    configurations = int(finding.summary.split("after ")[1].split()[0])
    assert configurations < (8 << 20) // 400


@pytest.mark.parametrize(
    ("model", "history", "verdict"),
    [
        ("stack", "0 does push 1\n0 does push 2\n1 does pop 2", "pass"),
        ("stack", "0 does push 1\n0 does push 2\n1 does pop 1", "fail"),
        ("owner-mutex", "0 does acquire\n0 does release\n1 does acquire", "pass"),
        ("owner-mutex", "0 does acquire\n1 does release", "fail"),
        ("owner-mutex", "0 does acquire\n0 does acquire", "fail"),
        (
            "reentrant-mutex",
            "0 does acquire\n0 does acquire\n0 does release\n0 does release\n1 does acquire",
            "pass",
        ),
        ("reentrant-mutex", "0 does acquire\n0 does acquire\n0 does release\n1 does acquire", "fail"),
        ("semaphore", "0 does acquire\n0 does release\n1 does acquire", "pass"),
        ("semaphore", "0 does acquire\n1 does acquire", "fail"),
    ],
)
def test_stacks_mutexes_with_owners_and_semaphores(model: str, history: str, verdict: str) -> None:
    assert check(sketch(history), model).verdict == verdict
