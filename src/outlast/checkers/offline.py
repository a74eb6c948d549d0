"""One call that judges a history: ``outlast.check(…)``, which ``outlast check`` makes too.

checked = outlast.check("history.edn", model="register")
assert checked.verdict == "pass", checked.checks[0].summary
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from outlast.checkers.base import Finding, Verdict, worst
from outlast.checkers.judge import DEFAULT_TIMEOUT_S, MODELS, STRICT, checkers_for, judge
from outlast.clock import deadline_ns
from outlast.errors import ConfigError, HistoryError
from outlast.history.formats import FORMATS, MODEL_OF, guess_format, read_history, read_history_text
from outlast.history.formats.guess import guess_of
from outlast.history.history import JSON, History
from outlast.history.sketch import sketch


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in a history.

    verdict: the worst of the checks'. checks: one Finding a checker: ``name``, ``verdict``, ``summary``, ``anomalies``
    (how many, by name), ``evidence``, ``elapsed_s``. format, model, consistency: by what it was read and judged.
    guessed: whether the format was guessed. history: what was read.
    """

    verdict: Verdict
    checks: tuple[Finding, ...]
    format: str
    model: str
    consistency: str
    guessed: bool
    history: History = field(repr=False)


def check(
    path_or_text: str | os.PathLike[str],
    format: str | None = None,
    model: str | None = None,
    consistency: str = STRICT,
    deadline_s: float = DEFAULT_TIMEOUT_S,
    *,
    initial: JSON = None,
) -> Checked:
    """Judge a history: a file, a folder, or the text itself.

    path_or_text: a string with a line break is a text, and so is one that names no file and begins as a history does.
    format: one of FORMATS, None to have it guessed. model: one of MODELS, None where the format is made for one.
    consistency: for transactions. deadline_s: for all checkers together, who say ``unknown`` beyond it. initial: what
    registers and counters hold before the history begins. Raises ConfigError for a name that is none and HistoryError,
    naming file and line, for a history that cannot be read or that the model cannot take.
    """
    if format is not None and format not in FORMATS:
        raise ConfigError(f"there is no format {format}", key="format", hint=f"formats: {', '.join(FORMATS)}")
    if model is not None:
        _check_names(model, consistency, initial)  # before a long file is read
    text = path_or_text if isinstance(path_or_text, str) and _is_text(path_or_text) else None
    guessed = format is None
    if text is not None:
        history, format = read_history_text(text, format)
        model = _model(model, format)
    else:
        path = Path(path_or_text)
        format = guess_format(path) if format is None else format
        model = _model(model, format)
        _check_names(model, consistency, initial)
        history = read_history(path, format, model=model)
    try:
        checks = judge(history, model, consistency, deadline_ns(deadline_s), initial=initial)
    except HistoryError as error:
        if text is not None or str(path_or_text) in error.message:
            raise
        raise HistoryError(error.message, file=str(path_or_text), hint=error.hint) from error
    verdict = worst(finding.verdict for finding in checks)
    return Checked(verdict, checks, format, model, consistency, guessed, history)


def _model(model: str | None, format: str) -> str:
    if model is None and format not in MODEL_OF:
        raise ConfigError("is missing", key="--model", hint=f"models: {', '.join(MODELS)}")
    return MODEL_OF[format] if model is None else model


def _check_names(model: str, consistency: str, initial: JSON) -> None:
    checkers_for(History(sketch("")), model, consistency, initial)


def _is_text(given: str) -> bool:
    if "\n" in given or not given.strip():
        return True
    try:
        return not Path(given).exists() and guess_of(given.encode()) is not None
    except (OSError, ValueError):  # longer than a name can be, or with a NUL
        return guess_of(given.encode()) is not None
