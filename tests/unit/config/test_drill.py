"""A DrillSpec that exists can be run to its end."""

from pathlib import Path

import pytest

from outlast.config import (
    ClientsSpec,
    ClusterNeeds,
    ClusterSpec,
    DrillSpec,
    TimelineEntry,
    check_targets,
    load_cluster,
    load_drill,
)
from outlast.errors import ConfigError


def load(folder: Path, text: str) -> DrillSpec:
    path = folder / "drill.yaml"
    path.write_text(text)
    return load_drill(path)


def test_the_designs_drill_loads_as_the_design_says(tmp_path):
    drill = load(
        tmp_path,
        "name: primary-power-off\n"
        "workload: {append: {clients: 8, rate: 500/s}}\n"
        "timeline:\n"
        "  - {at: 5s, fault: host_power_off, on: primary, heal: after_failover}\n"
        "duration: 45s\n"
        "checks: {acked_lost: 0, two_writers_s: 0, replicas_equal: true}\n",
    )
    assert drill.timeline == (
        TimelineEntry(at_s=5.0, fault="host_power_off", on="primary", heal="after_failover"),
    )
    assert drill.workloads()[0].clients == ClientsSpec(follow=8)
    assert (drill.duration_s, drill.workloads()[0].rate_per_s) == (45.0, 500.0)


def test_what_only_a_workload_knows_is_kept_as_its_params(tmp_path):
    (load_,) = load(
        tmp_path, "workload: {append: {batch: 10, rate: 60/m, clients: {pinned: on}}}\n"
    ).workloads()
    assert (load_.params, load_.rate_per_s, load_.clients) == ({"batch": 10}, 1.0, ClientsSpec(pinned=True))


@pytest.mark.parametrize("written", ["append", "{append: }", "{append: {}}", "{append: {rate: }}"])
def test_a_workload_without_settings_is_eight_clients_in_a_closed_loop(tmp_path, written):
    (load_,) = load(tmp_path, f"workload: {written}\n").workloads()
    assert (load_.name, load_.clients.follow, load_.rate_per_s) == ("append", 8, None)


def test_an_entry_may_be_an_action(tmp_path):
    (entry,) = load(tmp_path, "timeline: [{at: 1, action: switchover, on: one-standby}]\n").timeline
    assert (entry.action, entry.fault, entry.on) == ("switchover", None, "one-standby")


def test_a_repeated_entry_happens_at_each_interval_that_starts_before_the_end():
    entry = TimelineEntry(at_s=300, every_s=300, action="failover")
    assert entry.times_s(1800) == (300, 600, 900, 1200, 1500)
    assert TimelineEntry(at_s=2, action="failover").times_s(10) == (2,)


@pytest.mark.parametrize(("written", "meant"), [("end", "end"), ("2m", 120.0), ("1.5", 1.5)])
def test_heal_is_a_word_or_a_duration(tmp_path, written, meant):
    (entry,) = load(tmp_path, f"timeline: [{{at: 1, fault: x, on: all, heal: {written}}}]\n").timeline
    assert entry.heal == meant


def test_limits_in_seconds_may_be_written_as_durations(tmp_path):
    assert load(tmp_path, "checks: {outage_s: 500ms, availability: 0.95}\n").checks == {
        "outage_s": 0.5,
        "availability": 0.95,
    }


def test_a_drill_may_ask_for_a_preset_or_for_settings(tmp_path):
    assert load(tmp_path, "cluster: six-node\n").cluster == ClusterNeeds(preset="six-node")
    assert load(tmp_path, "cluster: {sync: on, preset: patroni}\n").cluster == ClusterNeeds(
        preset="patroni", settings={"sync": "on"}
    )


def test_a_drills_wish_outranks_the_file_and_set_outranks_the_wish():
    needs = ClusterNeeds(settings={"sync": "quorum", "nodes": 5})
    spec = load_cluster("patroni", ["sync=off"], needs=needs)
    assert (spec.sync, len(spec.nodes)) == ("off", 5)


def test_a_wish_that_cannot_be_met_says_that_the_drill_asked():
    with pytest.raises(ConfigError) as caught:
        load_cluster("patroni", needs=ClusterNeeds(settings={"dcs": 2}))
    assert (caught.value.file, caught.value.key) == ("the drill's cluster", "dcs")


def test_a_target_that_is_no_member_is_refused_before_anything_runs():
    entry = TimelineEntry(at_s=1, fault="process_kill", on="pg-node-8")
    with pytest.raises(ConfigError, match="pg-node-8") as caught:
        check_targets(DrillSpec(timeline=(entry,)), ClusterSpec())
    assert (caught.value.key, caught.value.hint) == ("timeline.0.on", "did you mean 'pg-node-3'?")


def test_symbolic_targets_and_every_member_are_accepted():
    for target in ("primary", "minority", "client", "pg-node-2", "etcd-node-1"):
        entry = TimelineEntry(at_s=1, fault="process_kill", on=target)
        check_targets(DrillSpec(timeline=(entry,)), ClusterSpec())


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("duration: 0\n", "duration", "longer than nothing"),
        ("duration: soon\n", "duration", "write 5s"),
        ("duration: 9e300\n", "duration", "at most 366 days"),
        ("duration_s: 5\n", "duration_s", "is not a setting"),
        ("timeline: [{fault: x, on: all}]\n", "timeline.0.at", "is required"),
        ("timeline: [{at: 1, on: all}]\n", "timeline.0", "either a fault or an action"),
        (
            "timeline: [{at: 1, fault: x, action: heal, on: all}]\n",
            "timeline.0",
            "either a fault or an action",
        ),
        ("timeline: [{at: 1, fault: x}]\n", "timeline.0.on", "needs a target"),
        ("timeline: [{at: 1, fault: x, on: all, heal: later}]\n", "timeline.0.heal", "after_failover, end"),
        ("timeline: [{at: 1, fault: x, on: all, heal: true}]\n", "timeline.0.heal", "after_failover, end"),
        ("timeline: [{at: 30s, fault: x, on: all}]\n", "timeline.0.at", "not before the drill's end"),
        ("timeline: [{at: 1, action: failover, every: 0}]\n", "timeline.0.every", "at least 0.1 s"),
        (
            "duration: 9d\ntimeline: [{at: 1, action: failover, every: 1}]\n",
            "timeline.0.every",
            "more than 10000 times",
        ),
        ("timeline: [{at: 1, action: dance}]\n", "timeline.0.action", "switchover"),
        ("timeline: {at: 1}\n", "timeline", "must be a list"),
        ("workload: 3\n", "workload", "a workload's name"),
        ("workload: {append: 3}\n", "workload.append", "must be a mapping"),
        ("workload: {append: {rate: 0}}\n", "workload.append.rate", "positive"),
        ("workload: {append: {rate: 9999999}}\n", "workload.append.rate", "at most a million"),
        ("workload: {append: {clients: many}}\n", "workload.append.clients", "a number of clients"),
        ("workload: {append: {clients: 2000}}\n", "workload.append.clients.follow", "from 0 to 1000"),
        ("checks: [acked_lost]\n", "checks", "{name: limit}"),
        ("checks: {acked_lost: true}\n", "checks.acked_lost", "must be a number, got true"),
        ("checks: {replicas_equal: 1}\n", "checks.replicas_equal", "must be true or false"),
        ("checks: {availability: 95}\n", "checks.availability", "a share of 1"),
        ("checks: {outage_s: -1}\n", "checks.outage_s", "not negative"),
        ("checks: {outage_s: fast}\n", "checks.outage_s", "no duration"),
        ("cluster: {sink: on}\n", "cluster.sink", "not a setting of a cluster"),
        ("level: dirty\n", "level", "read-committed"),
        ("needs: [Killable!]\n", "needs.0", "lower-case letters"),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_key(tmp_path, text, key, words):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.key == key
    assert caught.value.line is not None
    assert words in caught.value.reason
