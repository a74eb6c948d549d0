"""A load on a cluster that is not ours: a raftlog of plain processes on loopback, found by its address alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from program import outlast
from waiting import until

from raftlog.testing.local_cluster import LocalCluster

MESSAGES = 50


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path_factory.mktemp("own"), 3) as nodes:
        nodes.start()
        nodes.leader()
        yield nodes


def test_messages_through_the_kafka_protocol_are_recorded_read_back_and_judged(cluster: LocalCluster) -> None:
    leader = cluster.leader()
    before = leader.status()["commit_index"]

    def kill_in_mid_load() -> None:
        until(lambda: leader.status()["commit_index"] > before + MESSAGES, "the load to be under way")
        leader.kill()

    killer = threading.Thread(target=kill_in_mid_load)
    killer.start()
    done = outlast(
        "load", "log", "--bootstrap", cluster.bootstrap, "--duration", "4s", "--rate", "100/s", "--json"
    )
    killer.join()
    assert not leader.running
    cluster.start()
    assert done.code == 0, done.err
    run = done.json
    assert (run["verdict"], run["acked_lost"], run["system"]) == ("pass", 0, "kafka")
    assert run["acked"] > 3 * MESSAGES, "most of them went to the leader after the one that was killed"
    again = outlast("check", run["store"], "--json")
    assert (again.code, again.json["verdict"]) == (0, "pass"), again.err


def test_registers_behind_an_address_are_judged_as_linearizable(cluster: LocalCluster) -> None:
    cluster.leader()
    addresses = ",".join(node.admin for node in cluster.nodes.values())
    done = outlast(
        "load", "kv", "--bootstrap", addresses, "--protocol", "raftlog", "--duration", "2s", "--rate", "80/s",
        "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "linearizable" in [check["name"] for check in done.json["checks"]]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("log", "--bootstrap", "nowhere"), 64, "HOST:PORT"),
        (("append", "--bootstrap", "127.0.0.1:1"), 64, "needs a lab"),
        (("kv", "--bootstrap", "127.0.0.1:1", "--protocol", "kafka"), 64, "does not speak kafka"),
        (("log", "--topic", "t"), 64, "--bootstrap"),
        (("log", "--bootstrap", "127.0.0.1:1"), 1, "cannot be reached"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_a_line(words: tuple[str, ...], code: int, said: str) -> None:
    done = outlast("load", *words)
    assert (done.code, "Traceback" in done.err) == (code, False), done.err
    assert said in done.err


def test_a_server_of_another_protocol_is_no_kafka(cluster: LocalCluster) -> None:
    done = outlast("load", "log", "--bootstrap", next(iter(cluster.nodes.values())).admin)
    assert done.code == 1
    assert "cannot be reached" in done.err
