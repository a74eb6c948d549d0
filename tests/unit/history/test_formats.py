"""Foreign histories are read as their authors read them, and bad ones are refused by line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from outlast.checkers.values import value_of
from outlast.errors import HistoryError
from outlast.history.formats import read_history
from outlast.history.formats.jepsen_edn import read_jepsen_edn
from outlast.history.formats.porcupine import read_porcupine_etcd, read_porcupine_kv
from outlast.history.op import NEVER, NONE, Ops, Outcome
from outlast.history.values import freeze

Reader = Callable[[str, str | None], Ops]


def test_processes_named_by_keywords_are_no_clients() -> None:
    ops = read_jepsen_edn(
        "{:process :nemesis, :type :info, :f :start} {:process 1, :type :invoke, :f :read}"
        "{:process :nemesis, :type :invoke, :f :kill} {:process 1, :type :ok, :f :read, :value 3}"
        "{:process 1, :type :info, :f :remark}"
    )
    assert ops.f_names == ("read",)
    assert ops.value.tolist() == [3]
    assert ops.complete_pos.tolist() == [1]


def test_read_takes_its_completions_value_and_a_crashed_write_keeps_its_own() -> None:
    ops = read_jepsen_edn(
        "{:process 0 :type :invoke :f :read :value nil} {:process 0 :type :ok :f :read :value nil}"
        "{:process 0 :type :invoke :f :write :value 5} {:process 0 :type :info :f :write :value :timeout}"
        "{:process 2 :type :invoke :f :write :value 6}"
    )
    assert ops.value.tolist() == [NONE, 5, 6]
    assert ops.outcome.tolist() == [Outcome.OK, Outcome.INFO, Outcome.INFO]
    assert ops.complete_pos[2] == NEVER


def test_times_may_go_backwards_between_processes_but_not_within_an_op() -> None:
    fine = "{:process 0 :type :invoke :f :read :time 9}{:process 1 :type :invoke :f :read :time 5}"
    assert len(read_jepsen_edn(fine)) == 2
    with pytest.raises(HistoryError, match="line 2: time goes backwards"):
        read_jepsen_edn(
            "{:process 0 :type :invoke :f :read :time 9}\n{:process 0 :type :ok :f :read :time 8}"
        )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{:process 0 :type :ok :f :read}{:process 1 :type :invoke :f :read}", "never invoked"),
        ("{:process 0 :type :invoke :f :r}{:process 0 :type :invoke :f :r}", "still open"),
        ("{:process 0 :type :invoke :f :r}{:process 0 :type :ok :f :w}", "invoked :r but completes :w"),
        ("{:process 0 :type :began :f :r}", "the :type began"),
        ("{:process 0 :f :r}", "no :type"),
        ("[1 2 3]", "an event is a map"),
        ("[{:process 0 :type :invoke", "cut short"),
    ],
)
def test_bad_jepsen_history_is_refused_by_line(text: str, what: str) -> None:
    with pytest.raises(HistoryError, match=f"line 3: .*{what}"):
        read_jepsen_edn(f"; comment\n\n{text}")


def test_etcd_log_keeps_missed_cas_nil_read_and_time_out_apart() -> None:
    line = "INFO  jepsen.util - {}\t:{}\t:{}\t{}\n"
    ops = read_porcupine_etcd(
        "INFO  jepsen.core - starting\n"
        + line.format(0, "invoke", "cas", "[1 2]")
        + line.format(1, "invoke", "read", "nil")
        + line.format(":nemesis", "info", "start", "nil")
        + line.format(0, "fail", "cas", "[1 2]")
        + line.format(1, "ok", "read", "nil")
        + line.format(1, "invoke", "read", "nil")
        + line.format(1, "fail", "read", ":timed-out")
    )
    assert ops.payload == ["[1]", "[null]", None]
    assert ops.outcome.tolist() == [Outcome.OK, Outcome.OK, Outcome.INFO]


def test_cut_short_logs_are_refused_by_line() -> None:
    with pytest.raises(HistoryError, match="line 2"):
        read_porcupine_etcd("INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:ok\t:re")
    with pytest.raises(HistoryError, match="line 2"):
        read_porcupine_kv(
            '{:process 0, :type :invoke, :f :get, :key "0", :value nil}\n{:process 0, :type :ok, :f :g'
        )


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"absent\.edn: cannot be read"):
        read_history(tmp_path / "absent.edn", "jepsen-edn")
    (tmp_path / "binary").write_bytes(b"\x00\xff\xfe")
    with pytest.raises(HistoryError, match="not text"):
        read_history(tmp_path / "binary", "jepsen-edn")
    with pytest.raises(HistoryError, match="no format csv"):
        read_history(tmp_path / "binary", "csv")
    (tmp_path / "empty").write_text("")
    assert len(read_history(tmp_path / "empty", "jepsen-edn").ops) == 0


def test_processes_named_by_strings_and_great_numbers_are_clients_of_their_own() -> None:
    ops = read_jepsen_edn(
        '{:process "a" :type :invoke :f :read} {:process 5000000000 :type :invoke :f :read}'
        '{:process 0 :type :invoke :f :read} {:process "a" :type :ok :f :read :value 1}'
        '{:process "a" :type :invoke :f :read}'
    )
    assert [ops.process_name(index) for index in range(4)] == ["a", "5000000000", "0", "a"]
    assert len(set(ops.process.tolist())) == 3
    assert min(ops.process.tolist()) == 0


def test_completions_alone_make_a_history_in_which_each_process_takes_its_turns() -> None:
    ops = read_jepsen_edn(
        "{:process 0 :type :ok :f :write :value 1} {:process 1 :type :ok :f :read :value 1}"
        "{:process 0 :type :fail :f :write :value 2}"
    )
    assert ops.value.tolist() == [1, 1, 2]
    assert ops.outcome.tolist() == [Outcome.OK, Outcome.OK, Outcome.FAIL]
    assert ops.invoke_pos[1] < ops.complete_pos[0] < ops.invoke_pos[2], "only its own first op ended before"


@pytest.mark.parametrize(
    ("text", "keys", "values"),
    [
        (":write [1 2]|:read [1 nil]", ["1", "1"], [2, NONE]),
        (":acquire [:a nil]|:acquire [b nil]", [":a", "'b"], [NONE, NONE]),
        (":cas [7 [nil 3]]|:cas [8 [3 4]]", ["7", "8"], [NONE, NONE]),
        (":enqueue [1 5]|:dequeue [1 nil]|:drain [2 nil]", ["1", "1", "2"], [5, NONE, NONE]),
        (":txn [1 [[:append 1 1]]]", ["1"], [NONE]),
    ],
)
def test_independent_tuples_are_taken_apart(text: str, keys: list[str], values: list[int]) -> None:
    ops = _invoked(text)
    assert [ops.key_name(key) for key in ops.key.tolist()] == keys
    assert ops.value.tolist() == values


@pytest.mark.parametrize(
    "text",
    [":write [1 2]|:read nil", ":cas [1 2]", ":txn [[:append 1 1] [:append 1 2]]", ":add 1|:read [1 nil]"],
)
def test_values_that_only_look_like_tuples_stay_whole(text: str) -> None:
    assert set(_invoked(text).key.tolist()) == {NONE}


def _invoked(text: str) -> Ops:
    calls = [each.partition(" ") for each in text.split("|")]
    return read_jepsen_edn(
        "".join(
            f"{{:process {n} :type :invoke :f {f} :value {value}}}" for n, (f, _, value) in enumerate(calls)
        )
    )


def test_keys_and_values_of_other_types_are_other_values() -> None:
    texts = [
        "1",
        "1.0",
        "true",
        '"1"',
        ":a",
        '"a"',
        '":a"',
        "9223372036854775808",
        "-9223372036854775808",
        "[1]",
    ]
    written = _invoked("|".join(f":write {text}" for text in texts))
    assert len({freeze(value_of(written, index)) for index in range(len(texts))}) == len(texts)
    keyed = read_jepsen_edn(
        "".join(f"{{:process {n} :type :invoke :f :read :key {text}}}" for n, text in enumerate(texts))
    )
    assert len(set(keyed.key.tolist())) == len(texts)
    assert value_of(_invoked(':write {1 2 "1" 3}'), 0) == {"1": 2, '"1"': 3}


_EDN = (
    '[{:process 0, :type :invoke, :f :add, :value [1 "a"]}\n {:process 0, :type :ok, :f :add, :value #{2}}]'
)
_ETCD = "INFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 0\t:fail\t:cas\t[1 2]\n"


@pytest.mark.parametrize(("read", "text"), [(read_jepsen_edn, _EDN), (read_porcupine_etcd, _ETCD)])
def test_a_file_cut_anywhere_is_read_or_refused_by_line(read: Reader, text: str) -> None:
    for cut in range(len(text)):
        try:
            read(text[:cut], "cut")
        except HistoryError as error:
            assert error.line is not None
