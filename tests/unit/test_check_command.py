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


def test_a_format_is_guessed_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history"
    path.write_text("r(1,0,1,1)\nw(1,1,1,1)\nr(1,0,2,2)\nw(1,2,2,2)\n")
    assert run(["check", str(path)]) == 1
    captured = capsys.readouterr()
    assert "read as plume, judged as rw-register" in captured.err
    assert "lost-update" in captured.out
    assert run(["check", str(path), "--json", "--consistency", "read-committed"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["format"], said["guessed"], said["model"]) == ("plume", True, "rw-register")
    path.write_text("nothing of the kind")
    assert run(["check", str(path)]) == 64
    assert "history: looks like no history that we know" in capsys.readouterr().err


def test_elle_cli_is_answered_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.edn", tmp_path / "bad.edn"
    good.write_text(SOUND)
    bad.write_text(STALE)
    assert run(["check", "--elle-cli", "--model", "cas-register", "--format", "edn", str(good)]) == 0
    assert capsys.readouterr().out == f"{good}\ttrue\n"
    assert run(["check", "--elle-cli", "-m", "cas-register", str(good), str(bad)]) == 1
    assert capsys.readouterr().out == f"{good}\ttrue\n{bad}\tfalse\n"
    assert run(["check", "--elle-cli", "-m", "cas-register", str(good), str(tmp_path / "none.edn")]) == 255
    assert run(["check", "-m", "cas-register", str(good), str(bad)]) == 64


def test_a_set_is_asked_by_elle_cli_only_for_what_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "stale.json"
    reads: tuple[list[int], ...] = ([], [1])
    events = [{"process": 0, "type": kind, "f": "add", "value": 1} for kind in ("invoke", "ok")]
    for seen in reads:
        events += [{"process": 0, "type": "invoke", "f": "read"}]
        events += [{"process": 0, "type": "ok", "f": "read", "value": seen}]  # type: ignore[dict-item]
    path.write_text(json.dumps(events))
    assert run(["check", "--elle-cli", "--model", "set-full", str(path)]) == 0
    assert run(["check", "--model", "set", str(path)]) == 1
    assert f"{path}\ttrue\n" in capsys.readouterr().out


def test_what_was_found_is_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "pages/found.html"
    assert check(tmp_path / "h.edn", STALE, "--model", "register", "--html", str(page)) == 1
    text = page.read_text()
    assert "Did it behave like a single copy?" in text
    assert "FAIL: h.edn" in text
    assert "written: " in capsys.readouterr().err


def test_a_history_is_exported_and_judged_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "h.edn", tmp_path / "out/h.json"
    source.write_text(STALE)
    assert run(["export", str(source), "--format", "json", "--out", str(out)]) == 0
    assert run(["check", str(out), "--model", "register"]) == 1
    capsys.readouterr()
    assert run(["export", str(source), "--format", "porcupine"]) == 0
    assert capsys.readouterr().out.count("jepsen.util") == 4
    assert run(["export", str(tmp_path / "none"), "--format", "json"]) == 64
    assert run(["export", str(source), "--format", "json", "--from", "nope"]) == 64
    source.write_text(SOUND.replace("write", "enqueue"))
    assert run(["export", str(source), "--format", "porcupine"]) == 64
    assert "h.edn: porcupine's logs have no enqueue" in capsys.readouterr().err
