"""The table of settings says what the models say."""

from outlast.config import load_cluster, load_drill, settings
from outlast.config.settings import scope_of

BY_KEY = {(one.scope, one.key): one for one in settings()}


def test_every_setting_is_described_once():
    assert len(BY_KEY) == len(settings())
    assert all(one.description and "\n" not in one.description for one in settings())


def test_the_defaults_are_those_of_the_models():
    assert BY_KEY["cluster", "nodes"].default == 3
    assert BY_KEY["cluster", "watchdog"].default is False
    assert BY_KEY["cluster", "fsync"].default is True
    assert BY_KEY["drill", "duration"].default == 30.0
    assert BY_KEY["workload", "workload.NAME.clients"].default == {"follow": 8, "pinned": False}
    assert BY_KEY["workload", "workload.NAME.rate"].default is None


def test_the_settings_that_the_design_names_are_there():
    keys = {one.key for one in settings()}
    assert {"sync", "watchdog", "fsync", "tls", "level", "duration", "workload.NAME.rate"} <= keys


def test_every_default_can_be_set_to_itself():
    for one in settings():
        if one.scope == "cluster" and isinstance(one.default, bool | int | str) and one.key != "name":
            load_cluster("patroni", [f"{one.key}={one.default}"])
        if one.scope == "drill" and isinstance(one.default, float):
            load_drill("primary-power-off", ["timeline=[]", f"{one.key}={one.default}"])


def test_a_key_belongs_to_the_cluster_or_to_the_drill_or_to_neither():
    assert scope_of("sync") == "cluster"
    assert scope_of("workload.append.rate") == "drill"
    assert scope_of("name") == "cluster"
    assert scope_of("colour") is None
