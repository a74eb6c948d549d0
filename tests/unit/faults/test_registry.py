"""All faults have what the rest relies on: a name of their own, a sentence, a mechanism, parameters with words."""

from __future__ import annotations

import pytest

from outlast.faults.base import Fault, Mechanism
from outlast.faults.registry import faults


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_it_says_what_it_is(fault: Fault) -> None:
    assert fault.about
    assert fault.mechanism in Mechanism
    assert all(param.about for param in fault.params)


def test_every_mechanism_has_a_fault() -> None:
    assert {fault.mechanism for fault in faults()} == set(Mechanism)
