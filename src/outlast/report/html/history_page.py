"""What was found in someone else's history, as a page."""

from __future__ import annotations

from outlast import __version__
from outlast.checkers.offline import Checked
from outlast.report.findings import CheckResult
from outlast.report.html.embedded_files import ops_file
from outlast.report.html.page import VERDICT_WORDS, check_section, render
from outlast.report.html.series import op_times

_WORDS = {**VERDICT_WORDS, "invalid": "The history shows nothing, so it proves nothing."}


def history_page(name: str, checked: Checked) -> str:
    """Return the page of a judged history. name: of its file. About 3 s for a million ops."""
    history = checked.history
    return render(
        "history.html.j2",
        name=name,
        checked=checked,
        version=__version__,
        verdict_words=_WORDS[checked.verdict],
        checks=[check_section(history, CheckResult.of(finding)) for finding in checked.checks],
        raws=[ops_file(history, op_times(history), [])],
    )
