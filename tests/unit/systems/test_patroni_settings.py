"""What Patroni is told follows from the spec, and what it would silently change is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.config import ClusterSpec
from outlast.systems.credentials import Credentials
from outlast.systems.patroni import settings
from outlast.systems.patroni.servers import Look, PatroniServers
from outlast.systems.patroni.watchdog import read_orders
from outlast.systems.postgres.install import PostgresInstall
from outlast.systems.postgres.views import ServerView, StandbyView
from outlast.testing.fake_host import FakeHost

WORDS = Credentials(dict.fromkeys(("postgres", "replicator", "patroni", "appuser"), "word"), Path("pgpass"))


def member(spec: ClusterSpec) -> settings.Document:
    node = spec.nodes[0]
    host = FakeHost(Path("/lab/hosts/pg-node-1"), node.name, node.address)
    return settings.member_document(spec, node, PostgresInstall("18.4", Path("/bin"), "wheel"), WORDS, host)


@pytest.mark.parametrize(
    ("sync", "mode", "strict"),
    [("off", False, False), ("on", True, False), ("strict", True, True), ("quorum", "quorum", False)],
)
def test_sync_is_said_in_patronis_own_terms(sync: str, mode: object, strict: bool) -> None:
    document = settings.dynamic_document(ClusterSpec(sync=sync), settings.BRING_UP_TIMING)
    assert (document["synchronous_mode"], document["synchronous_mode_strict"]) == (mode, strict)


def test_the_model_is_the_sum_of_the_timing_in_force() -> None:
    assert settings.outage_model(ClusterSpec()).outage_s == 45
    assert settings.outage_model(ClusterSpec(profile="fast")).outage_s == 26
    assert settings.outage_model(ClusterSpec(patroni={"ttl": 40})).outage_s == 55


@pytest.mark.parametrize(
    "own", [{"ttl": 5}, {"loop_wait": 0}, {"retry_timeout": 2}, {"loop_wait": 20}, {"ttl": "x"}]
)
def test_timing_that_patroni_would_raise_silently_is_refused(own: dict[str, object]) -> None:
    assert settings.illegal_timing(ClusterSpec(patroni=own))
    assert not settings.illegal_timing(ClusterSpec())


def test_a_persons_own_settings_go_where_patroni_reads_them() -> None:
    spec = ClusterSpec(patroni={"failsafe_mode": True, "log": {"level": "DEBUG"}})
    assert settings.dynamic_document(spec, settings.BRING_UP_TIMING)["failsafe_mode"] is True
    assert member(spec)["log"] == {"level": "DEBUG"}
    assert "failsafe_mode" not in member(spec)


def test_a_watchdog_is_required_once_it_is_on() -> None:
    assert member(ClusterSpec())["watchdog"] == {"mode": "off"}
    guarded = member(ClusterSpec(watchdog=True))["watchdog"]
    assert isinstance(guarded, dict)
    assert (guarded["mode"], guarded["driver"]) == ("required", "testing")


def test_a_priority_decides_who_is_promoted_and_so_who_is_waited_for() -> None:
    spec = ClusterSpec(
        nodes=[{"name": "a", "role": "primary", "priority": 80}, {"name": "b", "role": "standby"}]
    )
    assert member(spec)["tags"] == {"failover_priority": 80, "sync_priority": 80}
    never = ClusterSpec(
        nodes=[{"name": "a", "role": "standby", "priority": 0}, {"name": "b", "role": "primary"}]
    )
    assert member(never)["tags"] == {"failover_priority": 0, "sync_priority": 1}


@pytest.mark.parametrize(
    ("tags", "may"),
    [({}, True), ({"nofailover": True}, False), ({"failover_priority": 0}, False), ({"failover_priority": 5}, True),
     ({"failover_priority": 0, "nofailover": False}, True)],
)  # fmt: skip
def test_a_priority_of_0_forbids_a_promotion_unless_it_is_allowed_outright(
    tags: dict[str, object], may: bool
) -> None:
    assert settings.may_lead(tags) is may


def test_a_read_only_node_is_never_promoted_nor_waited_for() -> None:
    spec = ClusterSpec(nodes=[{"name": "a", "role": "read-only"}, {"name": "b", "role": "primary"}])
    node = spec.nodes[0]
    host = FakeHost(Path("/lab/hosts/a"), node.name, node.address)
    document = settings.member_document(
        spec, node, PostgresInstall("18.4", Path("/bin"), "wheel"), WORDS, host
    )
    assert document["tags"] == {"nofailover": True, "nosync": True}


def test_the_watchdog_reads_patronis_orders() -> None:
    assert read_orders(b"Ctimeout=15\n1", 60) == (True, 15)
    assert read_orders(b"1", 15) == (True, 15)
    assert read_orders(b"1V", 15) == (False, 15)
    assert read_orders(b"VCtimeout=9\n1", 15) == (True, 9)


def nodes(*tags: dict[str, object], **others: object) -> ClusterSpec:
    members = [{"name": f"n{number}", "tags": one} for number, one in enumerate(({}, *tags))]
    return ClusterSpec(nodes=members, **others)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (nodes({"replicatefrom": "n7"}), "replicatefrom"),
        (nodes({"replicatefrom": "n1"}), "replicatefrom"),
        (nodes({"nofailover": "perhaps"}), "nofailover"),
        (nodes({"sync_priority": -1}), "sync_priority"),
        (nodes({"nostream": True}), "backup=on"),
        (nodes({"nosync": True}, {"nosync": True}, sync="on"), "nosync"),
    ],
)
def test_tags_that_cannot_be_followed_are_refused_before_there_is_a_lab(spec: ClusterSpec, word: str) -> None:
    assert word in settings.illegal_tags(spec)


@pytest.mark.parametrize(
    "spec",
    [
        nodes(
            {"noloadbalance": True, "clonefrom": True, "failover_priority": 2, "sync_priority": 1},
            {"replicatefrom": "n1", "nosync": True},
            sync="on",
        ),
        nodes({"nosync": True}, sync="off"),
        nodes({"nostream": True}, backup=True),
        nodes(sync="on"),
    ],
)
def test_tags_that_patroni_knows_are_taken(spec: ClusterSpec) -> None:
    assert settings.illegal_tags(spec) == ""


def look(lsn: int, *standbys: StandbyView, primary: bool = False) -> Look:
    return Look(ServerView(not primary, 1, lsn), standbys, None)


def standby(name: str, sync: str = "async", behind: int = 0) -> StandbyView:
    return StandbyView(name, "streaming", sync, None, None, None, behind, True, "10.0.0.1")


def test_a_standby_of_a_standby_is_told_of_by_the_one_before_it() -> None:
    told = PatroniServers.told_of_standbys(
        {
            "a": look(100, standby("b", "sync", 10), primary=True),
            "b": look(90, standby("c", "sync", 5)),
            "c": look(70),
        },
        "a",
    )
    assert (told["b"].sync, told["b"].lag_bytes) == ("sync", 10)
    assert (told["c"].sync, told["c"].lag_bytes, told["c"].state) == ("async", 30, "streaming")
