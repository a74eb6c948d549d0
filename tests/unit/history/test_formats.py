"""Foreign histories are read as their authors read them, and bad ones are refused by line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from outlast.errors import HistoryError
from outlast.history.formats import read_history
from outlast.history.formats.jepsen_edn import read_jepsen_edn
from outlast.history.formats.porcupine import read_porcupine_etcd, read_porcupine_kv
from outlast.history.op import NEVER, NONE, Ops, Outcome

Reader = Callable[[str, str | None], Ops]


def test_only_integer_processes_are_clients() -> None:
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
        ("{:process 0 :type :ok :f :read}", "never invoked"),
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
