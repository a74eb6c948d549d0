"""The soak's workloads: their rhythm, their numbers, and what their readers ask."""

from __future__ import annotations

from itertools import islice
from random import Random

from outlast.history.soak_rows import INSERT, UPDATE, row_name
from outlast.workloads import WORKLOADS, Invocation, Options
from outlast.workloads.base import OnReadOnly, Paced


def calls(process: int, count: int, clients: int = 1, first: int = 0) -> list[Invocation]:
    options = Options(first_process=first, clients=clients)
    return list(islice(WORKLOADS["soak-writer"].generator(process, Random(1), options), count))


def functions(made: list[Invocation]) -> list[str]:
    return [call.txn.f for call in made if call.txn is not None]


def test_ten_rows_are_due_each_half_second_and_an_update_with_the_fifth_batch() -> None:
    writer = WORKLOADS["soak-writer"]
    assert isinstance(writer, Paced)
    due = [writer.due_s(number) for number in range(103)]
    assert due[:10] == [0.0] * 10
    assert due[10:20] == [0.5] * 10
    assert due[40:51] == [2.0] * 11
    assert due[51] == 2.5
    assert due[102] == 5.0
    assert abs(writer.rate_per_s * 1800 - 36720) < 1, "36,000 rows and 720 updates in half an hour"


def test_an_update_follows_every_fifth_batch() -> None:
    made = functions(calls(0, 102))
    assert [place for place, f in enumerate(made) if f == UPDATE] == [50, 101]
    assert set(made) == {INSERT, UPDATE}


def test_rows_are_named_by_batch_and_row() -> None:
    first, last = calls(0, 10)[0], calls(0, 10)[-1]
    assert row_name(first.value) == "write_batch_1-row_0"
    assert row_name(last.value) == "write_batch_1-row_9"
    assert first.txn is not None
    assert first.txn.steps[0].params == (b"write_batch_1-row_0",)


def test_clients_share_the_batches_and_what_is_not_sent_is_none_of_them() -> None:
    numbers = [call.value for process in (4, 5, 6) for call in calls(process, 200, 2, 4) if call.value > 0]
    assert len(numbers) == len(set(numbers))
    sent = sorted(call.value for process in (4, 5) for call in calls(process, 40, 2, 4))
    assert sent == list(range(10, 90)), "batches 1 to 8, none left out"
    unsent = [call for call in calls(6, 200, 2, 4) if call.value > 0]
    assert min(call.value for call in unsent) > 1 << 40


def test_an_appointment_and_its_line_in_the_log_carry_one_number() -> None:
    options = Options(params={"reads_percent": 0})
    for call in islice(WORKLOADS["healthcare"].generator(3, Random(1), options), 20):
        assert call.txn is not None
        assert [step.params for step in call.txn.steps] == [(str(call.value).encode(),)] * 2
        assert all(step.needed for step in call.txn.steps), "half of it is none of it"


def test_a_vector_has_all_its_dimensions_and_reads_are_as_many_as_asked_for() -> None:
    made = list(
        islice(WORKLOADS["vectors"].generator(0, Random(1), Options(params={"reads_percent": 100})), 5)
    )
    texts = [call.txn.steps[0].params[0] for call in made if call.txn is not None]
    assert all(text.startswith(b"[") and text.count(b",") == 1535 for text in texts)
    assert {call.txn.f for call in made if call.txn is not None} == {"vectors-read"}


def test_readers_ask_five_questions_on_nodes_that_only_read() -> None:
    reader = WORKLOADS["read-load"]
    assert isinstance(reader, OnReadOnly)
    asked = list(islice(reader.generator(0, Random(1), Options()), 10))
    texts = [call.txn.steps[0].sql for call in asked if call.txn is not None]
    assert len(set(texts)) == 5
    assert texts[:5] == texts[5:]
    assert all(text.startswith(b"SELECT ") and b"pg_is_in_recovery()" in text for text in texts)
