"""Commands on histories, ours and others': check, export."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from outlast.checkers.base import Verdict
from outlast.checkers.judge import CONSISTENCIES, DEFAULT_TIMEOUT_S, INITIALS, MODELS, STRICT
from outlast.checkers.offline import check as check_history
from outlast.cli.options import OutputFile, json_option
from outlast.cli.output import ERR, EXIT_CODES, print_json, say
from outlast.cli.stored_runs import find_store
from outlast.config import stored_drill
from outlast.errors import ConfigError, HistoryError, OutlastError
from outlast.files import atomic_path
from outlast.history.exports import EXPORTS, write_history
from outlast.history.formats import FORMATS, guess_format, read_history
from outlast.history.history import JSON
from outlast.history.store import load_run, save_document
from outlast.report.findings import CheckResult
from outlast.report.literal import literal_text
from outlast.run.conclude import judge_again
from outlast.units import parse_duration_s

_SHOWN: Final = (
    *("name", "verdict", "anomalies", "elapsed_s", "summary", "value", "limit", "evidence"),
    *("consistency", "explained"),
)
"""What ``check --json`` says of each finding."""
_ELLE_NAMES: Final = {"edn": "jepsen-edn", "set-full": "set"}
"""What elle-cli calls formats and models of ours."""
_ELLE_INVARIANTS: Final = ("set", "counter")
"""Models that elle-cli asks only for their invariants."""
_ELLE_WORDS: Final = {Verdict.PASS: "true", Verdict.FAIL: "false"}
_ELLE_FAILED, _ELLE_BROKEN = 1, 255


@dataclass(frozen=True, slots=True)
class _JudgeOptions:
    """How a history is to be judged, in a person's words; None where nothing was said."""

    format_: str | None
    model: str | None
    consistency: str | None
    initial: str | None
    deadline: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "format_", _ELLE_NAMES.get(self.format_ or "", self.format_))
        object.__setattr__(self, "model", _ELLE_NAMES.get(self.model or "", self.model))

    @property
    def deadline_s(self) -> float:
        """Seconds for all checkers. Raises ConfigError for what is no duration."""
        try:
            return DEFAULT_TIMEOUT_S if self.deadline is None else parse_duration_s(self.deadline)
        except ValueError as error:
            raise ConfigError(str(error), key="--deadline") from None

    @property
    def initial_value(self) -> JSON:
        """The initial value. Raises ConfigError for text that is no JSON."""
        try:
            value: JSON = None if self.initial is None else json.loads(self.initial)
        except ValueError:
            raise ConfigError(
                f"{self.initial} is no JSON", key="--initial", hint="a string is written in quotes"
            ) from None
        return value


@click.command()
@click.argument("sources", metavar="STORE|FILE…", nargs=-1, required=True)
@click.option("--format", "-f", "format_", metavar="F", help=f"{', '.join(FORMATS)}; guessed when left out.")
@click.option("--model", "-m", metavar="M", help=f"What it should have behaved like: {', '.join(MODELS)}.")
@click.option(
    "--consistency",
    "--consistency-models",
    "-c",
    metavar="C",
    help=f"For transactions: {', '.join(CONSISTENCIES)}; the first by default.",
)
@click.option(
    "--initial",
    metavar="V",
    help=f"What it holds before the history begins, as JSON; for {', '.join(INITIALS)}.",
)
@click.option("--deadline", metavar="T", help="For all checkers together; 600s by default.")
@click.option(
    "--html", "html_file", type=OutputFile(), metavar="FILE", help="Write what was found as a page."
)
@click.option(
    "--elle-cli",
    "as_elle",
    is_flag=True,
    help="Answer as elle-cli does: a line FILE<TAB>true|false|unknown each; exit 1 where one is false, 255 on error.",
)
@json_option
def check(
    sources: tuple[str, ...],
    html_file: str | None,
    *,
    as_elle: bool,
    as_json: bool,
    **asked: str | None,
) -> int:
    """Judge a history offline: a stored run by its own drill's checks, or any history by a model."""
    asked_for = _JudgeOptions(**asked)
    if as_elle:
        return _answer_as_elle(sources, asked_for)
    if len(sources) > 1:
        raise ConfigError(f"{len(sources)} files", hint="one at a time, or --elle-cli for a line each")
    (source,) = sources
    ours = _stored(source, asked_for.format_)
    if ours is not None and asked_for.model is asked_for.consistency is asked_for.initial is None:
        return _check_run(ours, html_file, as_json)
    checked = check_history(
        Path(source) if ours is None else ours,
        asked_for.format_ if ours is None else "outlast",
        asked_for.model,
        asked_for.consistency or STRICT,
        asked_for.deadline_s,
        initial=asked_for.initial_value,
    )
    if checked.guessed and not as_json and ours is None:
        ERR.print(
            literal_text(
                f"read as {checked.format}, judged as {checked.model} (--format, --model say otherwise)"
            )
        )
    if html_file is not None:
        from outlast.report.html import write_history_page

        Path(html_file).parent.mkdir(parents=True, exist_ok=True)
        write_history_page(Path(html_file), Path(source).name, checked)
        ERR.print(literal_text(f"written: {html_file}"))
    results = [CheckResult.of(finding) for finding in checked.checks]
    how: dict[str, JSON] = {"format": checked.format, "model": checked.model, "guessed": checked.guessed}
    return _print_checks(source, checked.verdict, results, how if as_json else None)


def _stored(source: str, format_: str | None) -> Path | None:
    """Return the folder of a stored run, None for a history of someone else's."""
    if format_ == "outlast":
        return find_store(source)
    if format_ is not None or Path(source).is_file():
        return None
    with contextlib.suppress(OSError):
        if Path(source).is_dir() and guess_format(Path(source)) != "outlast":
            return None
    return find_store(source)


def _answer_as_elle(sources: Sequence[str], asked: _JudgeOptions) -> int:
    level = asked.consistency or ("serializable" if asked.model in _ELLE_INVARIANTS else STRICT)
    verdicts = []
    try:
        for source in sources:
            checked = check_history(Path(source), asked.format_, asked.model, level, asked.deadline_s)
            verdicts.append(checked.verdict)
            sys.stdout.write(f"{source}\t{_ELLE_WORDS.get(checked.verdict, 'unknown')}\n")
    except OutlastError as error:
        ERR.print(literal_text(f"error: {error.message}"))
        return _ELLE_BROKEN
    return _ELLE_FAILED if Verdict.FAIL in verdicts else 0


def _check_run(folder: Path, html_file: str | None, as_json: bool) -> int:
    history, document = load_run(folder)
    again = document  # a check in code has nothing to be judged by again
    if document.drill:
        again = judge_again(history, document, stored_drill(document.drill, str(folder / "run.json")))
        save_document(folder, again)
    if html_file is not None:
        from outlast.report.html import write_page

        write_page(Path(html_file), [((history, again), folder)])
        ERR.print(literal_text(f"written: {html_file}"))
    results = [CheckResult.from_document(finding) for finding in again.findings]
    return _print_checks(folder.name, Verdict(again.verdict), results, {} if as_json else None)


def _print_checks(
    name: str, verdict: Verdict, results: Sequence[CheckResult], how: dict[str, JSON] | None
) -> int:
    """Print the results of checks and return the exit code. how: what else a JSON document says; None for words."""
    if how is not None:
        documents = [result.to_document() for result in results]
        checks: list[JSON] = [{key: document[key] for key in _SHOWN} for document in documents]
        print_json({"verdict": verdict, "checks": checks, **how})
        return EXIT_CODES[verdict]
    say(f"{verdict}: {name}")
    for result in results:
        say(f"  {result.verdict}  {result.name}: {result.summary}")
        for anomaly, words in result.explained.items():
            say(f"        {anomaly}: {words}")
    return EXIT_CODES[verdict]


@click.command()
@click.argument("source", metavar="RUN|FILE")
@click.option("--format", "format_", type=click.Choice(EXPORTS), required=True, help="The form to write.")
@click.option("--from", "read_as", metavar="F", help="The form of a FILE; guessed when left out.")
@click.option("--out", "-o", "out_file", type=OutputFile(), metavar="FILE", help="Instead of stdout.")
def export(source: str, format_: str, read_as: str | None, out_file: str | None) -> int:
    """Write the history of a stored run, or of any file, for another tool."""
    if read_as is not None and read_as not in FORMATS:
        raise ConfigError(
            f"there is no format {read_as}", key="--from", hint=f"formats: {', '.join(FORMATS)}"
        )
    ours = _stored(source, read_as)
    place = Path(source) if ours is None else ours
    # Porcupine's logs hold keys and their values, and no requests of etcd.
    history = read_history(
        place, read_as if ours is None else "outlast", model="kv" if format_ == "porcupine" else None
    )
    try:
        if out_file is None:
            notes = write_history(history, format_, sys.stdout)
        else:
            Path(out_file).parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(Path(out_file)) as new, new.open("w", encoding="utf-8") as stream:
                notes = write_history(history, format_, stream)
    except HistoryError as error:
        raise HistoryError(error.message, file=source, hint=error.hint) from None
    for note in notes:
        ERR.print(literal_text(f"note: {note}"))
    if out_file is not None:
        ERR.print(literal_text(f"written: {out_file}"))
    return 0


COMMANDS: Final = (check, export)
