"""Rules become messages: the same ones always, for exactly their links, and none at all without rules."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest

from outlast.net import nft
from outlast.net.base import CUT, Conditions, Packets, Rule
from outlast.net.netlink import NetlinkMessage
from outlast.net.ruleset import (
    bridge_table,
    counts_packets,
    damaged_queue,
    held_queue,
    pairs,
    port_table,
    queue_table,
    rate_classes,
)

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
PORTS = {A: ("ha", 3), B: ("hb", 4)}


def pair(source: str, destination: str) -> bytes:
    return ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(destination).packed


def body(messages: list[NetlinkMessage]) -> bytes:
    return b"".join(message.body for message in messages)


def test_without_rules_a_table_is_taken_away_and_none_is_made() -> None:
    for messages in (bridge_table([]), port_table([], PORTS)):
        assert [message.kind for message in messages] == [0, 2]  # new, so that delete finds one; delete


def test_the_same_rules_give_the_same_messages() -> None:
    rules = [Rule((A, B), (B, C), id=1), Rule((C,), (A,), Conditions(loss_percent=3, rate_kbit=9), id=2)]
    assert bridge_table(rules) == bridge_table([replace(rule) for rule in rules])


def test_a_cut_is_of_its_directed_pairs_alone_and_a_host_never_meets_itself() -> None:
    made = body(bridge_table([Rule((A, B), (B, C))]))
    assert all(pair(*one) in made for one in ((A, B), (A, C), (B, C)))
    assert not any(pair(*one) in made for one in ((B, A), (C, A), (C, B), (B, B)))
    assert list(pairs(Rule((A, B), (B, C)))) == [(A, B), (A, C), (B, C)]


def test_all_plain_cuts_together_are_one_rule() -> None:
    cuts = [Rule((A,), (B,), id=1), Rule((B,), (C,), id=2), Rule((C,), (A,), id=3)]
    rules = [message for message in bridge_table(cuts) if message.kind == 6]
    assert len(rules) == 1


@pytest.mark.parametrize(("packets", "rules"), [(Packets.ALL, 2), (Packets.CLOSE, 2), (Packets.DATA, 4)])
def test_a_rule_by_port_matches_either_end(packets: Packets, rules: int) -> None:
    made = bridge_table([Rule((A,), (B,), CUT, (5432,), packets)])
    assert sum(message.kind == 6 for message in made) == rules
    assert (5432).to_bytes(2, "big") in body(made)


def test_conditions_of_other_places_are_not_in_the_bridges_table() -> None:
    assert (
        len(bridge_table([Rule((A,), (B,), Conditions(delay_ms=5, duplicate_percent=5, corrupt_percent=5))]))
        == 2
    )


def test_duplicates_are_made_at_the_ports_of_destinations_that_are_on() -> None:
    rule = Rule((A,), (B, C), Conditions(duplicate_percent=5))
    made = port_table([rule], PORTS)
    assert b"hb\0" in body(made)
    assert b"ha\0" not in body(made)
    assert pair(A, C) not in body(made)


def test_each_directed_pair_has_a_bandwidth_of_its_own() -> None:
    rules = [
        Rule((A, B), (C,), Conditions(rate_kbit=5), id=1),
        Rule((A,), (B, C), Conditions(rate_kbit=7), id=2),
    ]
    classes = rate_classes(rules)
    assert sorted((one.destination, one.rate_kbit) for one in classes) == [(B, 7), (C, 5), (C, 5), (C, 7)]
    assert len({(one.destination, one.minor) for one in classes}) == 4


def test_queues_have_numbers_of_their_own() -> None:
    rules = [
        Rule((A,), (B,), Conditions(delay_ms=1, corrupt_percent=1), id=number) for number in range(1, 1000)
    ]
    assert len({number for rule in rules for number in (held_queue(rule), damaged_queue(rule))}) == 2 * 999


@pytest.mark.parametrize("native", [True, False])
def test_a_queue_takes_what_its_rule_is_about(native: bool) -> None:
    made = body(queue_table(Rule((A, B), (B, C), Conditions(delay_ms=5), id=4), B, False, native=native))
    assert pair(A, B) in made
    assert pair(A, C) not in made
    assert (b"queue\0" if native else b"NFQUEUE\0") in made


def test_packets_are_counted_one_by_one_only_where_shares_are_of_them() -> None:
    def counted(**conditions: float) -> bool:
        return counts_packets(Rule((A,), (B,), Conditions(**conditions)))  # type: ignore[arg-type]

    assert counted(loss_percent=1)
    assert counted(rate_kbit=5)
    assert not counted(loss_percent=100)
    assert not counted(delay_ms=5)


def test_a_large_set_is_told_in_parts_that_fit_an_attribute() -> None:
    elements = [number.to_bytes(8, "big") for number in range(2500)]
    made = nft.new_set(nft.FAMILY_BRIDGE, "t", "s", elements, 1)
    assert len(made) == 4
    assert all(len(message.body) < 65536 for message in made)
