"""Commands that judge and report what is stored: check, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from holdfast.checkers.base import Verdict, worst
from holdfast.cli.output import EXIT_CODES, OUT, json_option, print_json, say
from holdfast.errors import ConfigError
from holdfast.history.history import JSON
from holdfast.history.store import load_run, save_document
from holdfast.hosts.state import runs_folder
from holdfast.report.json import run_document
from holdfast.report.terminal import print_run
from holdfast.run.experiment import judge_again
from holdfast.spec import stored_drill


def find_store(text: str) -> Path:
    """Return the folder of a stored run, by its path or by its name. Raises ConfigError."""
    for place in (Path(text), runs_folder() / text):
        if (place / "run.json").is_file():
            return place
    raise ConfigError(f"{text} is no stored run", hint="holdfast ls runs lists them")


@click.command()
@click.argument("store")
@json_option
def check(store: str, as_json: bool) -> int:
    """Judge a stored run again, offline."""
    folder = find_store(store)
    history, document = load_run(folder)
    again = judge_again(history, document, stored_drill(document.drill, str(folder / "run.json")))
    save_document(folder, again)
    checks: list[JSON] = [
        {
            key: finding[key]
            for key in ("name", "verdict", "anomalies", "elapsed_s", "summary", "value", "limit")
        }
        for finding in again.findings
    ]
    if as_json:
        print_json({"verdict": again.verdict, "checks": checks})
    else:
        say(f"{again.verdict}: {folder.name}")
        for finding in again.findings:
            say(f"  {finding['verdict']}  {finding['name']}: {finding['summary']}")
    return EXIT_CODES[Verdict(again.verdict)]


@click.command()
@click.argument("stores", nargs=-1, required=True, metavar="STORE…")
@json_option
def report(stores: Sequence[str], as_json: bool) -> int:
    """Print the report of stored runs."""
    documents = []
    for store in stores:
        folder = find_store(store)
        history, document = load_run(folder)
        documents.append(run_document(history, document, folder))
    if as_json:
        whole: list[JSON] = list(documents)
        print_json(documents[0] if len(documents) == 1 else {"runs": whole})
    else:
        for one in documents:
            print_run(OUT, one)
    return EXIT_CODES[worst(Verdict(str(one["verdict"])) for one in documents)]


COMMANDS: Final = (check, report)
