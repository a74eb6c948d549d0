"""What the words of servers amount to: the price of a failover and its reason, without a server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from outlast.clusters.failover_cost import failovers
from outlast.clusters.foreign_cluster import ServerSighting, describe
from outlast.systems.postgres.inspection import SeenSlot, SeenStandby, Survey
from outlast.systems.postgres.views import ServerView

MIB = 1024**2


def standby(name: str, behind: int = 0, sync: str = "async", lag_s: float | None = None) -> SeenStandby:
    return SeenStandby(
        name,
        "10.0.0.2",
        "streaming",
        sync,
        100 * MIB,
        100 * MIB - behind,
        100 * MIB - behind,
        None,
        lag_s,
        None,
        None,
    )


def primary(*standbys: SeenStandby, own: tuple[str, ...] = (), **settings: str) -> Survey:
    known = {"synchronous_commit": "on", "synchronous_standby_names": "", "fsync": "on", **settings}
    return Survey(
        ServerView(False, 1, 100 * MIB), "18.4", "7", 100 * MIB, None, False, True, None, None, None,
        standbys, (), known, own,
    )  # fmt: skip


def follower(**changes: object) -> Survey:
    view = ServerView(True, 1, 99 * MIB)
    found = replace(primary(), view=view, upstream=("10.0.0.1", 5432), calls_itself="b")
    return replace(found, **changes)  # type: ignore[arg-type]


def loss_of(found: Survey) -> tuple[bool, str]:
    loss = failovers([found], None)[0]
    return loss.acked_safe, loss.why


def test_asynchronous_standbys_cost_what_they_lack_and_the_nearest_is_best() -> None:
    found = failovers([primary(standby("far", MIB, lag_s=2.0), standby("near", 1024))], 2048.0)
    assert [(one.to, one.bytes, one.seconds, one.acked_safe) for one in found] == [
        ("near", 1024, 0.5, False),
        ("far", MIB, 2.0, False),
    ]
    assert "wait for no standby" in found[0].why


def test_a_synchronous_standby_costs_nothing_acknowledged() -> None:
    safe, why = loss_of(primary(standby("a", 10, "sync"), synchronous_standby_names="a"))
    assert safe
    assert "not acknowledged" in why


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            primary(standby("a", 0, "sync"), synchronous_standby_names="a", synchronous_commit="local"),
            "local",
        ),
        (primary(standby("a", 0, "potential"), synchronous_standby_names="b,a"), "potential"),
        (
            primary(
                standby("a", 0, "quorum"), standby("b", 0, "quorum"), synchronous_standby_names="ANY 1 (a, b)"
            ),
            "need not be among them",
        ),
        (
            primary(
                standby("a", 0, "sync"),
                synchronous_standby_names="a",
                own=("app in db: synchronous_commit=off",),
            ),
            "app in db",
        ),
        (primary(replace(standby("a"), state="catchup")), "catchup"),
    ],
)
def test_a_failover_that_may_lose_says_why(found: Survey, words: str) -> None:
    safe, why = loss_of(found)
    assert not safe
    assert words in why


def test_every_standby_of_a_quorum_that_all_must_answer_is_safe() -> None:
    both = (standby("a", 0, "quorum"), standby("b", 0, "quorum"))
    assert loss_of(primary(*both, synchronous_standby_names="ANY 2 (a, b)"))[0]


def test_the_worse_of_two_looks_counts() -> None:
    looks = [primary(standby("a", 0)), primary(standby("a", 4096)), primary(standby("a", 16))]
    assert failovers(looks, None)[0].bytes == 4096


def test_no_standby_no_primary_and_two_primaries_are_told() -> None:
    alone = describe(("a:1",), [ServerSighting("a", 1, primary())], None)
    assert (alone.ready, alone.failover.to) == (True, None)
    assert "backups" in alone.failover.why
    headless = describe(("b:1",), [ServerSighting("b", 1, follower())], None)
    assert (headless.ready, headless.primary) == (False, None)
    assert "follow 10.0.0.1:5432" in headless.missing
    split = describe(
        ("a:1", "c:1"), [ServerSighting("a", 1, primary()), ServerSighting("c", 1, primary())], None
    )
    assert not split.ready
    assert "several servers accept writes" in split.missing
    other = replace(follower(), system_id="8")
    strangers = describe(
        ("a:1", "b:1"), [ServerSighting("a", 1, primary()), ServerSighting("b", 1, other)], None
    )
    assert any("different clusters" in remark for remark in strangers.remarks)


def test_a_standby_that_does_not_answer_is_shown_as_its_primary_sees_it() -> None:
    found = describe(
        ("a:1", "b:1"),
        [ServerSighting("a", 1, primary(standby("b", MIB))), ServerSighting("b", 1, None, "refused")],
        None,
    )
    assert {node.name: (node.state, node.healthy) for node in found.nodes} == {
        "a:1": ("running", True),
        "b:1": ("unreachable", False),
        "b": ("streaming", True),
    }
    assert not found.ready


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (primary(fsync="off"), "fsync = off"),
        (primary(data_checksums="off", wal_log_hints="off"), "pg_rewind"),
        (primary(synchronous_standby_names="gone"), "writes hang"),
        (primary(standby("a", 0, "sync"), synchronous_standby_names="a"), "no other standby"),
        (replace(primary(), slots=(SeenSlot("s", "physical", True, 0, "lost"),)), "slot s is lost"),
        (replace(primary(), slots=(SeenSlot("s", "physical", False, 2 * 1024**3, "extended"),)), "2048 MiB"),
        (replace(primary(), sees_all=False), "pg_monitor"),
    ],
)
def test_trouble_to_come_is_remarked(found: Survey, words: str) -> None:
    assert any(
        words in remark for remark in describe(("a:1",), [ServerSighting("a", 1, found)], None).remarks
    )
