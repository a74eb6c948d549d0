"""docs/extending/new-checker.md does what it says, and docs/checkers.md says what the code does."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

from outlast.checkers.judge import CONSISTENCIES, MODELS
from outlast.checkers.linearizable import models
from outlast.checkers.transactions.consistency import LEVELS, PROSCRIBED
from outlast.checkers.transactions.glossary import ANOMALIES, meaning
from outlast.history.formats import FORMATS


def test_the_page_on_new_checkers_runs() -> None:
    page = Path(__file__).parents[3] / "docs/extending/new-checker.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    module = ModuleType("new_checker_page")
    sys.modules[module.__name__] = module
    try:
        for block in blocks:
            exec(compile(block, str(page), "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]
        models.MODELS.pop("dispenser", None)


def test_the_page_on_checkers_has_the_levels_and_anomalies_of_the_code() -> None:
    page = (Path(__file__).parents[3] / "docs/checkers.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([\w-]+) \| [^|]* \| ([^|]*) \|$", page, re.MULTILINE))
    for level in LEVELS:
        forbids = [PROSCRIBED.get(name, {name}) for name in rows[level].split(", ")]
        assert frozenset[str]().union(*forbids) == PROSCRIBED[level], level
    meanings = dict(re.findall(r"^\| ([\w-]+) \| ([^|]*) \|$", page, re.MULTILINE))
    assert {name: meanings[name] for name in ANOMALIES} == ANOMALIES
    assert all(meaning(name) for level in LEVELS for name in PROSCRIBED[level])
    named = set(re.findall(r"[\w-]+", page))
    assert named >= {*MODELS, *CONSISTENCIES, *FORMATS}
