"""docs/extending/new-checker.md does what it says, from top to bottom."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

from holdfast.checkers.linearizable import models


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
