"""The words of the network: what makes no sense is refused, what is written is read back."""

from __future__ import annotations

import json
import math

import pytest

from outlast.net.base import Conditions, Measurement, Packets, Rule


@pytest.mark.parametrize(
    "wrong", [{"loss_percent": 101}, {"duplicate_percent": -1}, {"delay_ms": -5}, {"rate_kbit": -1}]
)
def test_conditions_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Conditions(**wrong)  # type: ignore[arg-type]


def test_a_rule_is_read_back_as_it_was_written() -> None:
    rule = Rule(("a", "b"), ("c",), Conditions(5, 2, True, 1, 2, 3, 4), (1, 2), Packets.DATA, 9)
    assert Rule.from_document(json.loads(json.dumps(rule.to_document()))) == rule


def test_a_measurement_says_what_it_saw() -> None:
    found = Measurement("a", "b", 10, 4, 0, 0, 0, (3.0, 1.0, 2.0, 9.0))
    assert (found.reaches, found.delay_ms, found.loss_percent) == (True, 3.0, 60.0)
    silent = Measurement("a", "b", 10, 0, 0, 0, 0, ())
    assert not silent.reaches
    assert math.isnan(silent.delay_ms)
