"""A log's order, and what is accepted without a majority: each checker on sound and on broken histories."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from outlast.checkers.base import Finding, Verdict
from outlast.checkers.log_order import LogOrder
from outlast.checkers.quorum import NoMajority, WritableAgain, windows_without_majority
from outlast.history.history import FaultRecord, FinalRead, History, NodeContent
from outlast.history.op import I16, I32, I64, NONE, U8, Ops, Outcome, event_positions

S = 1_000_000_000


def log(*ops: tuple[int, float, float, int], final: list[tuple[int, int]] | None = None) -> History:
    """A history of acknowledged appends (value, invoked s, acked s, offset); final: (value, offset) in order."""
    n = len(ops)
    invoke: I64 = np.array([int(op[1] * S) for op in ops], dtype=np.int64)
    complete: I64 = np.array([int(op[2] * S) for op in ops], dtype=np.int64)
    invoke_pos, complete_pos = event_positions(invoke, complete)
    zeros: I32 = np.zeros(n, dtype=np.int32)
    f: I16 = np.zeros(n, dtype=np.int16)
    outcome: U8 = np.full(n, int(Outcome.OK), dtype=np.uint8)
    columns = Ops(
        process=np.arange(n, dtype=np.int32),
        f=f,
        f_names=("log",),
        key=np.full(n, NONE, dtype=np.int64),
        value=np.array([op[0] for op in ops], dtype=np.int64),
        invoke_ns=invoke,
        complete_ns=complete,
        invoke_pos=invoke_pos,
        complete_pos=complete_pos,
        outcome=outcome,
        node=np.full(n, -1, dtype=np.int16),
        node_names=(),
        timeline=zeros,
        lsn=np.array([op[3] for op in ops], dtype=np.int64),
        error=np.full(n, -1, dtype=np.int32),
        error_names=(),
    )
    found = final if final is not None else sorted(((op[0], op[3]) for op in ops), key=lambda one: one[1])
    values = np.array([value for value, _ in found], dtype=np.int64)
    read = {"log@0": values, "log@0/offsets": np.array([o for _, o in found], dtype=np.int64)}
    nodes = tuple(NodeContent(name, 0, {}, {}) for name in ("n1", "n2", "n3"))
    return History(
        columns, final=FinalRead("n1", 0, 0, 0, {"log": np.sort(values), **read}, nodes), end_ns=60 * S
    )


def order(history: History) -> Finding:
    return LogOrder().check(history, 0)


def test_a_log_whose_messages_stand_where_they_were_acknowledged_passes() -> None:
    assert order(log((1, 0, 1, 0), (2, 0, 2, 1), (3, 3, 4, 5))).verdict is Verdict.PASS


def test_a_message_at_another_offset_than_acknowledged_is_found() -> None:
    found = order(log((1, 0, 1, 0), (2, 2, 3, 1), final=[(1, 0), (2, 7)]))
    assert (found.verdict, found.anomalies) == (Verdict.FAIL, {"moved": 1})


def test_a_message_before_one_that_was_acknowledged_earlier_is_found() -> None:
    found = order(log((1, 0, 1, 1), (2, 5, 6, 0)))
    assert (found.verdict, found.anomalies) == (Verdict.FAIL, {"reordered": 1})
    assert order(log((1, 0, 6, 1), (2, 5, 7, 0))).verdict is Verdict.PASS  # they were open at once


def test_a_message_that_is_gone_is_not_this_checkers_business() -> None:
    assert order(log((1, 0, 1, 0), (2, 2, 3, 1), final=[(1, 0)])).verdict is Verdict.PASS


def fault(name: str, at: float, until: float, *targets: str, **params: str) -> FaultRecord:
    at_ns, until_ns = int(at * S), int(until * S)
    return FaultRecord(name, targets, at_ns, at_ns, at_ns, until_ns + S, True, "", params, until_ns)


def test_the_time_without_a_majority_is_where_faults_overlap_on_enough_nodes() -> None:
    history = log((1, 0, 1, 0))
    one = replace(history, faults=(fault("process_kill", 4, 20, "n1"), fault("process_kill", 10, 18, "n2")))
    assert windows_without_majority(one) == [(10 * S, 18 * S)]
    cut = replace(history, faults=(fault("net_partition", 5, 8, "n1", "n2", kind="isolate"),))
    assert windows_without_majority(cut) == [(5 * S, 8 * S)]
    together = replace(history, faults=(fault("net_partition", 5, 8, "n1", "n2", kind="two-way"),))
    assert windows_without_majority(together) == []
    same = replace(history, faults=(fault("process_kill", 4, 20, "n1"), fault("host_frozen", 10, 18, "n1")))
    assert windows_without_majority(same) == []
    missed = replace(fault("host_power_off", 4, 9, "n1", "n2"), effective=False)
    assert windows_without_majority(replace(history, faults=(missed,))) == []


def test_a_write_accepted_without_a_majority_is_found_and_one_that_was_open_before_is_not() -> None:
    down = (fault("host_power_off", 4, 9, "n1", "n2"),)
    sound = replace(log((1, 3.9, 4.1, 0), (2, 8, 9.5, 1), (3, 10, 11, 2)), faults=down)
    assert NoMajority("log").check(sound, 0).verdict is Verdict.PASS
    broken = replace(log((1, 3.9, 4.1, 0), (2, 5, 6, 1), (3, 10, 11, 2)), faults=down)
    found = NoMajority("log").check(broken, 0)
    assert (found.verdict, found.value) == (Verdict.FAIL, 1)


def test_without_such_a_moment_or_without_a_try_nothing_is_proven() -> None:
    assert NoMajority("log").check(log((1, 0, 1, 0)), 0).verdict is Verdict.INVALID
    idle = replace(log((1, 0, 1, 0)), faults=(fault("host_power_off", 4, 9, "n1", "n2"),))
    assert NoMajority("log").check(idle, 0).verdict is Verdict.INVALID


def test_the_time_to_the_next_write_counts_from_the_beginning_of_the_healing() -> None:
    down = (fault("host_power_off", 4, 9, "n1", "n2"),)
    found = WritableAgain("log", 5.0).check(replace(log((1, 0, 1, 0), (2, 9.5, 11.0, 1)), faults=down), 0)
    assert (found.verdict, found.value) == (Verdict.PASS, 2.0)
    late = WritableAgain("log", 1.0).check(replace(log((1, 0, 1, 0), (2, 9.5, 11.0, 1)), faults=down), 0)
    assert late.verdict is Verdict.FAIL
    never = WritableAgain("log", 5.0).check(replace(log((1, 0, 1, 0)), faults=down), 0)
    assert never.verdict is Verdict.FAIL
