"""What a pace means: which are refused, how long a write then takes, how much is written to see it."""

from __future__ import annotations

import pytest

from outlast.errors import ConfigError
from outlast.faults.base import with_defaults
from outlast.faults.disk_slow import (
    PAGE_BYTES,
    PROBE_BYTES_MAX,
    DiskSlow,
    checked,
    expected_ms,
    probe_bytes,
    wanted,
)
from outlast.history.history import JSON
from outlast.hosts.base import DiskPace


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"write_iops": 0}, "all 0"),
        ({"write_iops": -1}, "from 0 on"),
        ({"write_iops": 0.5}, "whole number"),
        ({"write_iops": "many"}, "from 0 on"),
        ({"write_iops": True}, "from 0 on"),
        ({"write_iops": float("inf")}, "from 0 on"),
        ({"write_bps": 100}, "4096"),
        ({"read_bps": 1e300}, "whole number"),
        ({"iops": 3}, "no parameter iops"),
    ],
)
def test_what_is_no_pace_is_refused(given: dict[str, JSON], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked(with_defaults(DiskSlow(), given))
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_the_defaults_hold_writes_alone() -> None:
    pace = checked(with_defaults(DiskSlow(), {}))
    assert pace == DiskPace(write_iops=20)
    assert wanted(pace) == ["write"]
    assert expected_ms(pace, "write") == 50
    assert expected_ms(pace, "read") == 0


def test_what_is_written_to_see_it_takes_an_eighth_of_a_second() -> None:
    assert probe_bytes(DiskPace(write_bps=1024 * 1024), "write") == 128 * 1024
    assert expected_ms(DiskPace(write_bps=1024 * 1024), "write") == 125
    assert probe_bytes(DiskPace(write_bps=4096), "write") == PAGE_BYTES
    assert probe_bytes(DiskPace(read_bps=2**31), "read") == PROBE_BYTES_MAX


def test_the_slower_of_two_limits_counts() -> None:
    pace = DiskPace(read_iops=2, read_bps=1024 * 1024)
    assert expected_ms(pace, "read") == 500
