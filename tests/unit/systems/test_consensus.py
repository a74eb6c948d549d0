"""raftlog and etcd as systems: their config, what they promise, and whom a set of members follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast import extras
from outlast.config import load_cluster
from outlast.errors import UnavailableError
from outlast.systems.consensus import MemberLook, _leader, _missing
from outlast.systems.etcd import cluster as etcd
from outlast.systems.etcd.member import etcd_program
from outlast.systems.raftlog import settings, system


def look(
    leader: str, term: int = 1, committed: int = 10, position: int = 10, trouble: str = ""
) -> MemberLook:
    return MemberLook(leader, term, committed, position, "", trouble)


@pytest.mark.parametrize("nodes", [1, 3, 5])
@pytest.mark.parametrize("profile", ["default", "fast"])
def test_raftlog_takes_the_config_that_is_written_for_it(nodes: int, profile: str, tmp_path: Path) -> None:
    from raftlog import config

    spec = load_cluster("raftlog", [f"nodes={nodes}", f"profile={profile}"])
    for number, node in enumerate(spec.nodes, start=1):
        file = tmp_path / f"{node.name}.toml"
        published = {one.name: 40000 + place for place, one in enumerate(spec.nodes)}
        file.write_text(settings.config(spec, node, published))
        read = config.load(file)
        assert [peer.published for peer in read.peers] == [f"127.0.0.1:{port}" for port in published.values()]
        assert read.kafka.published_listen == f"{node.address}:9093"
        assert (read.node_id, len(read.peers), read.own.kafka) == (number, nodes, f"{node.address}:9092")
        assert read.profile == {"default": "default", "fast": "tuned"}[profile]


def test_without_the_optional_packages_raftlog_is_refused_with_what_brings_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(extras.EXTRAS, "raftlog", ("kio_that_nobody_has",))
    reason = system.RaftlogSystem().available(load_cluster("raftlog"))
    assert reason is not None
    assert "kio_that_nobody_has" in reason
    assert extras.install_command("raftlog") in reason


def test_tls_is_refused_where_it_is_not_spoken() -> None:
    assert system.RaftlogSystem().available(load_cluster("raftlog", ["tls=on"])) == (
        "tls is not set up for raftlog by this version: tls=off"
    )


def test_an_etcd_that_is_asked_for_and_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name, path: None)
    with pytest.raises(UnavailableError):
        etcd_program("machine")


def test_the_script_that_the_wheel_puts_beside_python_is_not_the_machines_etcd(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripts, machine = tmp_path / "venv", tmp_path / "usr"
    for folder in (scripts, machine):
        folder.mkdir()
        (folder / "etcd").touch(mode=0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(scripts))
    monkeypatch.setenv("PATH", f"{scripts}:{machine}")
    assert etcd_program("machine") == str(machine / "etcd")
    monkeypatch.setenv("PATH", str(scripts))
    with pytest.raises(UnavailableError):
        etcd_program("machine")


def test_what_the_timing_promises_follows_the_profile() -> None:
    for preset, model in (("raftlog", settings.outage_model), ("etcd", etcd.outage_model)):
        slow, fast = model(load_cluster(preset)), model(load_cluster(preset, ["profile=fast"]))
        assert fast.outage_s < slow.outage_s


def test_of_two_who_say_that_they_lead_the_newer_term_counts() -> None:
    assert _leader({"a": look("a", 3), "b": look("b", 4), "c": None}) == "b"
    assert _leader({"a": look("b", 3), "b": None}) is None


def test_what_keeps_a_group_from_being_whole_is_said() -> None:
    whole = {"a": look("a"), "b": look("a"), "c": look("a")}
    assert _missing(whole, "a") == ""
    assert _missing({"a": look(""), "b": None}, None) == "no member leads"
    assert "does not answer" in _missing({**whole, "c": None}, "a")
    assert "follows b" in _missing({**whole, "c": look("b")}, "a")
    assert "in term 2" in _missing({**whole, "c": look("a", 2)}, "a")
    assert "behind" in _missing({**whole, "a": look("a", committed=9_000), "c": look("a")}, "a")
    assert "disk" in _missing({**whole, "c": look("a", trouble="the disk is full")}, "a")
