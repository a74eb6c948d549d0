"""What the routes tell their programs, and which routes a cluster has."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from skips import needs

from outlast.config import ClusterSpec, load_cluster, load_drill
from outlast.errors import ConfigError, UnavailableError
from outlast.routes import registry
from outlast.routes.haproxy import HaproxyService, haproxy_config
from outlast.routes.health import CheckedNode, HealthConfig, NodeHealth
from outlast.routes.pgbouncer import PgbouncerService, pgbouncer_config, userlist
from outlast.systems import programs
from outlast.systems.credentials import Credentials
from outlast.systems.patroni.cluster import PatroniCluster
from outlast.systems.postgres.server_group import ServerGroup
from outlast.testing.fake_host import FakeLab
from outlast.units import NS_PER_S


def patroni(spec: ClusterSpec, tmp_path: Path) -> PatroniCluster:
    words = Credentials({spec.user: "secret"}, tmp_path / "pgpass")
    return PatroniCluster(FakeLab(tmp_path), spec, words)


@pytest.fixture
def _all_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"/usr/bin/{name}")


@pytest.mark.usefixtures("_all_installed")
def test_a_route_adds_the_services_it_leads_through_and_no_second_one() -> None:
    bare = load_cluster("patroni")
    routed = registry.with_route(bare, "pgbouncer")
    assert [service.kind for service in routed.services] == ["haproxy", "pgbouncer"]
    assert len({member.address for member in routed.members()}) == len(routed.members())
    assert registry.with_route(routed, "haproxy") == routed
    assert registry.with_route(bare, "libpq") == bare


@pytest.mark.usefixtures("_all_installed")
def test_a_name_that_is_taken_is_not_given_to_a_service() -> None:
    spec = load_cluster("patroni", ["nodes=[haproxy, b, c]"])
    assert [service.name for service in registry.with_route(spec, "haproxy").services] == ["haproxy-2"]


def test_a_route_whose_program_is_missing_is_refused_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(UnavailableError, match=r"haproxy is not installed.*make systems"):
        registry.with_route(load_cluster("patroni"), "haproxy")
    assert "make systems" in (HaproxyService().available(load_cluster("patroni")) or "")


def test_pgbouncer_without_an_haproxy_is_refused() -> None:
    spec = load_cluster("patroni", ["services=[{name: pool, kind: pgbouncer}]"])
    assert "haproxy" in (PgbouncerService().available(spec) or "")


def test_a_drill_names_a_route_that_exists() -> None:
    assert load_drill("switchover", ["route=pgbouncer"]).route == "pgbouncer"
    with pytest.raises(ConfigError, match="route"):
        load_drill("switchover", ["route=carrier-pigeon"])


def test_a_cluster_whose_lab_lacks_the_balancer_has_no_route_through_it(tmp_path: Path) -> None:
    cluster = patroni(load_cluster("patroni-3dcs"), tmp_path)
    assert {one.kind for one in registry.routes(cluster)} == {"libpq"}
    with pytest.raises(UnavailableError, match="no route haproxy"):
        registry.check_route(cluster, "haproxy")
    registry.check_route(cluster, "libpq")


def test_routes_lead_clients_to_a_role_and_hold_no_password() -> None:
    spec = load_cluster("patroni-3dcs")
    for kind, ports in (("libpq", "5432,5432,5432"), ("haproxy", "5000")):
        views = registry.ROUTES[kind].views(spec, {})
        assert [one.name for one in views] == [f"{kind}-primary", f"{kind}-standby"]
        asked = [conninfo_to_dict(one.dsn) for one in views]
        assert [one["target_session_attrs"] for one in asked] == ["read-write", "prefer-standby"]
        assert str(asked[0]["port"]) == ports
        assert all("password" not in one for one in asked)


@needs("haproxy")
@pytest.mark.parametrize("checked_by", [PatroniCluster, ServerGroup])
def test_haproxy_takes_the_configuration_that_we_write(checked_by: type, tmp_path: Path) -> None:
    spec = load_cluster("patroni-3dcs")
    cluster = checked_by(FakeLab(tmp_path), spec, Credentials({}, tmp_path))
    text = haproxy_config(cluster, spec.services[0])
    file = tmp_path / "haproxy.cfg"
    file.write_text(text)
    done = subprocess.run(
        [programs.program("haproxy"), "-c", "-f", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    asks = "OPTIONS /primary" if checked_by is PatroniCluster else "addr 127.0.0.1 port 20011"
    assert asks in text


def test_pgbouncer_is_told_where_to_write_and_read_and_passwords_are_quoted() -> None:
    spec = load_cluster("patroni", ["services=[{name: h, kind: haproxy}, {name: p, kind: pgbouncer}]"])
    text = pgbouncer_config(spec, spec.services[1], "/users")
    address = spec.services[0].address
    assert f"appdb_read = host={address} port=5001 dbname=appdb" in text
    assert f"* = host={address} port=5000" in text
    assert userlist({'a"b': 'x"y\\z'}) == '"a""b" "x""y\\z"\n'


def test_a_check_passes_for_the_role_the_server_has_while_its_word_is_fresh() -> None:
    node = CheckedNode("n", "127.0.0.1", 1, 2)
    health = NodeHealth(node, HealthConfig((node,), "d", "u", "p"))
    assert not health.passes("/primary", 0)
    health.note(in_recovery=False, at_ns=NS_PER_S)
    assert health.passes("/primary", NS_PER_S + 1) and not health.passes("/standby", NS_PER_S + 1)
    health.note(in_recovery=True, at_ns=2 * NS_PER_S)
    assert health.passes("/standby", 2 * NS_PER_S + 1) and not health.passes("/primary", 2 * NS_PER_S + 1)
    assert not health.passes("/standby", 3 * NS_PER_S)
    config = HealthConfig((node,), "d", "u", "p")
    assert HealthConfig.from_document(config.to_document()) == config
