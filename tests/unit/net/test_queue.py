"""What is done to packets on a queue, without any: delays that wander, bits that flip."""

from __future__ import annotations

import random
import statistics

from hypothesis import given
from hypothesis import strategies as st

from outlast.net.queue import Wander, flip_a_bit

MS = 1_000_000


@given(
    delay=st.integers(0, 500),
    jitter=st.integers(1, 500),
    gaps=st.lists(st.integers(0, 2000), min_size=2, max_size=200),
    seed=st.integers(0, 1000),
)
def test_a_wandering_delay_never_lets_packets_overtake_nor_leaves_its_range(
    delay: int, jitter: int, gaps: list[int], seed: int
) -> None:
    wander = Wander(delay * MS, jitter * MS, random.Random(seed))
    now, last_due = 10**12, 0
    for gap in gaps:
        now += gap * MS
        held = wander.delay_ns(now)
        assert max(0, (delay - jitter) * MS) <= held <= (delay + jitter) * MS
        # Numbers of this size are floats for a moment.
        assert now + held >= last_due - 1000
        last_due = now + held


def test_a_wandering_delay_is_spread_around_its_middle() -> None:
    wander = Wander(50 * MS, 20 * MS, random.Random(1))
    delays = [wander.delay_ns(10**12 + place * MS) / MS for place in range(20_000)]
    assert 48 < statistics.fmean(delays) < 52
    assert min(delays) < 33
    assert max(delays) > 67


def test_without_jitter_the_delay_is_what_was_asked_for() -> None:
    wander = Wander(50 * MS, 0, random.Random(1))
    assert {wander.delay_ns(now) for now in range(0, 10**9, 10**7)} == {50 * MS}


@given(payload=st.binary(min_size=1, max_size=100), seed=st.integers(0, 1000))
def test_one_bit_behind_the_header_flips(payload: bytes, seed: int) -> None:
    packet = bytes([0x45]) + bytes(19) + payload
    damaged = flip_a_bit(packet, random.Random(seed))
    assert damaged[:20] == packet[:20]
    differing = [a ^ b for a, b in zip(packet, damaged, strict=True) if a != b]
    assert len(differing) == 1
    assert differing[0].bit_count() == 1


def test_a_packet_without_content_is_left_as_it_is() -> None:
    packet = bytes([0x45]) + bytes(19)
    assert flip_a_bit(packet, random.Random(1)) == packet
