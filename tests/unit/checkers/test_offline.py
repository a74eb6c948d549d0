"""``outlast.check``: one typed call for a file, a folder or a text."""

from __future__ import annotations

from pathlib import Path

import pytest

import outlast
from outlast.errors import ConfigError, HistoryError

SOUND = "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 0, :type :ok, :f :write, :value 1}\n"
STALE = SOUND + "{:process 1, :type :invoke, :f :read}\n{:process 1, :type :ok, :f :read, :value 2}\n"


def test_a_file_and_its_text_are_judged_alike(tmp_path: Path) -> None:
    path = tmp_path / "h.edn"
    for text, verdict in ((SOUND, "pass"), (STALE, "fail")):
        path.write_text(text)
        for given in (text, path, str(path)):
            checked = outlast.check(given, model="register")
            assert (checked.verdict, checked.format, checked.guessed) == (verdict, "jepsen-edn", True)
            assert [(one.name, one.verdict) for one in checked.checks] == [("linearizable", verdict)]
    (finding,) = outlast.check(STALE, "jepsen-edn", "register").checks
    assert dict(finding.anomalies) == {"not-linearizable": 1}
    assert finding.evidence


def test_a_level_an_initial_value_and_a_deadline_are_taken() -> None:
    text = "w(1,5,0,0)\nr(1,5,1,1)\nr(1,0,1,2)"
    assert outlast.check(text).model == "rw-register"
    assert outlast.check(text).verdict == "fail"
    assert outlast.check(text, consistency="read-committed").verdict == "pass"
    zero = "{:process 0, :type :invoke, :f :read} {:process 0, :type :ok, :f :read, :value 0}"
    assert outlast.check(zero, model="register").verdict == "fail"
    assert outlast.check(zero, model="register", initial=0, deadline_s=5).verdict == "pass"
    assert outlast.check("", model="register").verdict == "pass"


def test_what_makes_no_sense_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no format csv"):
        outlast.check(SOUND, "csv", "register")
    with pytest.raises(ConfigError, match="no model heap"):
        outlast.check("nowhere.edn", model="heap")
    with pytest.raises(ConfigError, match="--model: is missing"):
        outlast.check(SOUND)
    with pytest.raises(HistoryError, match=r"nowhere\.edn: cannot be read"):
        outlast.check("nowhere.edn", model="register")
    with pytest.raises(HistoryError, match="line 3: process 0 completes"):
        outlast.check(SOUND + "{:process 0, :type :ok, :f :write}", model="register")
    with pytest.raises(HistoryError, match="looks like no history"):
        outlast.check("what is\nthis", model="register")
    with pytest.raises(HistoryError, match="dbcop is read from a file"):
        outlast.check("what is\nthis", "dbcop")
    (tmp_path / "h.edn").write_text(SOUND)
    with pytest.raises(HistoryError, match=r"h\.edn: op 0 is no transaction"):
        outlast.check(tmp_path / "h.edn", model="list-append")
