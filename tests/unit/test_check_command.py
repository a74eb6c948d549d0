"""``outlast check`` on anyone's history: verdicts, exit codes, and what it says of a file that makes no sense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outlast.cli.main import run

SOUND = "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 0, :type :ok, :f :write, :value 1}\n"
STALE = SOUND + "{:process 1, :type :invoke, :f :read}\n{:process 1, :type :ok, :f :read, :value 2}\n"


def check(path: Path, text: str, *words: str) -> int:
    path.write_text(text, encoding="utf-8")
    return run(["check", str(path), "--format", "jepsen-edn", *words])


@pytest.mark.parametrize(("text", "code", "verdict"), [(SOUND, 0, "pass"), (STALE, 1, "fail")])
def test_a_verdict_is_printed_and_is_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: int, verdict: str
) -> None:
    assert check(tmp_path / "h.edn", text, "--model", "register", "--json") == code
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] == verdict
    assert [(one["name"], one["verdict"]) for one in said["checks"]] == [("linearizable", verdict)]
    assert all(count > 0 for count in said["checks"][0]["anomalies"].values())
    assert said["checks"][0]["elapsed_s"] >= 0


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (
            SOUND + "{:process 0, :type :ok, :f :write}",
            ["--model", "register"],
            "h.edn:3: process 0 completes",
        ),
        (SOUND + "{:process", ["--model", "register"], "h.edn:3: "),
        (SOUND, ["--model", "list-append"], "h.edn: op 0 is no transaction"),
        (SOUND, ["--model", "nope"], "there is no model nope"),
        (SOUND, ["--model", "register", "--consistency", "nope"], "there is no consistency nope"),
        (SOUND, [], "--model: is missing"),
        (SOUND, ["--model", "register", "--format", "nope"], "there is no format nope"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_exit_64(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: list[str], said: str
) -> None:
    assert check(tmp_path / "h.edn", text, *words) == 64
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err.replace("\n", " ")
    assert "Traceback" not in captured.err


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(tmp_path / "no.edn"), "--format", "jepsen-edn", "--model", "register"]) == 64
    assert "no.edn: cannot be read: No such file" in capsys.readouterr().err
