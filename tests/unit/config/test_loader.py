"""Names, files and --set lead to one spec, or to one error that says where."""

from pathlib import Path

import pytest

from outlast.config import (
    ClusterSpec,
    DrillSpec,
    load_any,
    load_cluster,
    load_drill,
    split_overrides,
)
from outlast.config.overrides import parse_override
from outlast.errors import ConfigError


def test_a_spec_without_a_name_is_named_after_its_file(tmp_path: Path):
    (tmp_path / "my lab!.yaml").write_text("nodes: 3\n")
    (tmp_path / "--.yaml").write_text("nodes: 3\n")
    assert load_cluster(tmp_path / "my lab!.yaml").name == "my-lab"
    assert load_cluster(tmp_path / "--.yaml").name == "lab"


def test_a_preset_wins_over_a_file_of_its_name_and_a_path_over_the_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("patroni").write_text("nodes: 7\n")
    assert len(load_cluster("patroni").nodes) == 3
    assert len(load_cluster("./patroni").nodes) == 7


def test_a_file_may_be_named_without_suffix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text("nodes = 5\n")
    assert len(load_cluster("mine").nodes) == 5


@pytest.mark.parametrize("name", ["patrni", "\0", "x" * 300, ""])
def test_an_unknown_name_lists_the_presets(name):
    with pytest.raises(ConfigError) as caught:
        load_cluster(name)
    if name:
        assert "presets: etcd, patroni, patroni-3dcs" in (caught.value.hint or "")


def test_an_unknown_name_is_answered_with_the_closest_one():
    with pytest.raises(ConfigError, match="there is no preset and no file called 'patrni'") as caught:
        load_cluster("patrni")
    assert str(caught.value.hint).startswith("did you mean 'patroni'? ")
    with pytest.raises(ConfigError, match="there is no drill") as caught:
        load_drill("primary-power")
    assert str(caught.value.hint).startswith("did you mean 'primary-power-off'? ")


def test_the_error_of_a_missing_path_names_it():
    with pytest.raises(ConfigError, match="cannot be read: No such file") as caught:
        load_cluster("none/cluster.yaml")
    assert caught.value.file == "none/cluster.yaml"


def test_load_any_tells_a_drill_from_a_cluster(tmp_path):
    (tmp_path / "d.yaml").write_text("duration: 5s\n")
    (tmp_path / "c.yaml").write_text("nodes: 3\n")
    assert isinstance(load_any(tmp_path / "d.yaml"), DrillSpec)
    assert isinstance(load_any("postgres-kill"), DrillSpec)
    for source in (tmp_path / "c.yaml", "six-node"):
        loaded = load_any(source)
        assert not isinstance(loaded, DrillSpec)
        (spec,) = loaded
        assert isinstance(spec, ClusterSpec)


def test_overrides_reach_any_depth_and_the_last_one_wins():
    spec = load_cluster(
        "six-node",
        [
            "sync=off",
            "sync=quorum",
            "postgresql.parameters.work_mem=8MB",
            "nodes.1.priority=70",
            "ports.pg-node-1=15432",
        ],
    )
    assert (spec.sync, spec.postgresql.parameters["work_mem"]) == ("quorum", "8MB")
    assert (spec.nodes[1].priority, spec.nodes[0].port) == (70, 15432)


def test_overrides_reach_a_drill():
    drill = load_drill(
        "primary-power-off",
        ["workload.append.rate=100/s", "duration=1m", "timeline.0.at=10s", "checks.outage_s=30"],
    )
    assert (drill.workloads()[0].rate_per_s, drill.duration_s, drill.timeline[0].at_s) == (100.0, 60.0, 10.0)
    assert drill.checks["outage_s"] == 30


def test_a_quoted_part_of_a_key_may_hold_a_dot():
    override = parse_override('postgresql.parameters."auto_explain.sample_rate"=0.5')
    assert override.path == ("postgresql", "parameters", "auto_explain.sample_rate")
    assert load_cluster("patroni", [override.text]).postgresql.parameters == {"auto_explain.sample_rate": 0.5}


def test_a_value_may_hold_an_equals_sign_or_a_list():
    assert parse_override("environment.A=b=c").value == "b=c"
    assert parse_override("postgresql.pg_hba=[a b, c]").value == ["a b", "c"]


def test_null_takes_the_default_back():
    assert load_cluster("patroni", ["sync=null"]).sync == "off"


def test_overrides_are_split_between_cluster_and_drill():
    cluster, drill = split_overrides(["sync=off", "duration=5s", "dcs=3", "workload.append.rate=5"])
    assert cluster == ("sync=off", "dcs=3")
    assert drill == ("duration=5s", "workload.append.rate=5")


@pytest.mark.parametrize(
    ("override", "key", "words"),
    [
        ("sync", None, "must be key=value"),
        ("=5", None, "must be key=value"),
        ("a..b=5", None, "must be key=value"),
        ("syn=on", "syn", "is not a setting"),
        ("duration=5s", "duration", "is not a setting of a cluster"),
        ("sync=maybe", "sync", "must be one of"),
        ("sync.x=1", "sync", "is the text 'on', so it has no x"),
        ("nodes.0.name=x", "nodes", "is the number 3"),
        ("postgresql.parameters.work_mem.x=1", "postgresql.parameters.work_mem.x", "must be text"),
        ("sync=[a", None, "expected ',' or ']'"),
        ("sync=!!str on", None, "tags are not used"),
    ],
)
def test_a_bad_override_is_named_as_it_was_given(override, key, words):
    with pytest.raises(ConfigError) as caught:
        load_cluster("patroni", [override])
    assert caught.value.file == f"--set {override}"
    assert words in caught.value.reason
    if key and words != "must be text":
        assert caught.value.key == key


def test_an_index_past_a_lists_end_is_refused():
    with pytest.raises(ConfigError, match="is a list of 6; 6 is no index of it"):
        load_cluster("six-node", ["nodes.6.priority=1"])
