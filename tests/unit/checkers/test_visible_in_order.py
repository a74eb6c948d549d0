"""elle-cli's models comments and sequential: a later write is not visible without an earlier one."""

from __future__ import annotations

import pytest

from outlast.checkers.judge import judge
from outlast.errors import HistoryError
from outlast.history.history import History
from outlast.history.sketch import sketch

CONCURRENT = "0 invoke read\n1 does write 1\n2 does write 2\n0 ok read {seen}"


@pytest.mark.parametrize(
    ("model", "text", "found"),
    [
        ("comments", CONCURRENT.format(seen="[1,2]"), {}),
        ("comments", CONCURRENT.format(seen="[1]"), {}),
        ("comments", CONCURRENT.format(seen="[]"), {}),
        ("comments", CONCURRENT.format(seen="[2]"), {"missing-write": 1}),
        ("comments", "1 invoke write 1\n2 does write 2\n1 ok write 1\n0 does read [2]", {}),
        ("comments", "1 maybe write 1\n2 fails write 5\n2 does write 2\n0 does read [2]", {}),
        ("comments", "1 does write x: 1\n2 does write y: 2\n0 does read y: [2]", {}),
        (
            "sequential",
            '0 does read ["k",[2,1]]\n0 does read ["k",[null,1]]\n0 does read ["k",[null,null]]',
            {},
        ),
        ("sequential", '0 does read ["k",[2,null]]\n0 does write "k"', {"trailing-nil": 1}),
        ("sequential", "0 does read k: [null,2,null]", {"trailing-nil": 1}),
    ],
)
def test_a_gap_is_found_and_nothing_else(model: str, text: str, found: dict[str, int]) -> None:
    (finding,) = judge(History(sketch(text)), model)
    assert dict(finding.anomalies) == found
    assert finding.verdict == ("fail" if found else "pass")
    assert bool(finding.evidence) == bool(found)


def test_reads_that_are_none_are_refused() -> None:
    with pytest.raises(HistoryError, match="op 0 is no read of"):
        judge(History(sketch("0 does read 3")), "sequential")
    with pytest.raises(HistoryError, match="op 0 read '3' where a list is due"):
        judge(History(sketch("0 does read 3")), "comments")
