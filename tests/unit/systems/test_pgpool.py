"""What Pgpool-II is told, and what is read from its tools, without a running one."""

from __future__ import annotations

from pathlib import Path

import pytest
from skips import require

from outlast.cli.balancers import spelled
from outlast.config import ClusterSpec, load_cluster
from outlast.hosts.base import Completed, Program
from outlast.systems.credentials import Credentials
from outlast.systems.pgpool import settings
from outlast.systems.pgpool.pcp import Pcp, PcpError
from outlast.systems.pgpool.system import TOOLS, PgpoolSystem
from outlast.systems.programs import missing
from outlast.testing.fake_host import FakeHost

SECRETS = {
    user: f"secret-of-{user}" for user in ("postgres", "appuser", settings.PCP_USER, settings.AGENT_USER)
}
WORDS = Credentials(SECRETS, Path("pgpass"))

TWO_NODES = """Hostname               : 172.31.1.20
Port                   : 5432
Status                 : 2
Weight                 : 0.500000
Status Name            : up
Backend Status Name    : up
Role                   : primary
Backend Role           : primary
Replication Delay      : 0
Replication State      :
Replication Sync State :
Last Status Change     : 2026-11-20 23:49:46

Hostname               : 172.31.1.21
Port                   : 5432
Status                 : 3
Weight                 : 0.500000
Status Name            : down
Backend Status Name    : up
Role                   : standby
Backend Role           : standby
Replication Delay      : 128
Replication State      : streaming
Replication Sync State : async
Last Status Change     : 2026-11-20 23:49:46
"""


def conf(spec: ClusterSpec) -> str:
    return settings.files(spec, WORDS, Path("/lab/hosts/pgpool"))[settings.CONF]


def test_every_server_is_a_backend_with_the_number_it_was_given() -> None:
    nodes = [{"name": "a", "tags": {"node_id": 0}}, {"name": "b", "tags": {"node_id": 7}}]
    spec = ClusterSpec(system="pgpool", nodes=nodes, services=[{"name": "lb", "kind": "pgpool"}])
    assert f"backend_hostname7 = '{spec.nodes[1].address}'" in conf(spec)
    assert "backend_application_name7 = 'b'" in conf(spec)


def test_numbers_stay_when_a_node_leaves_and_none_is_given_twice() -> None:
    nodes = [{"name": "a", "tags": {"node_id": 0}}, {"name": "c", "tags": {"node_id": 2}}, "d", "e"]
    spec = ClusterSpec(system="pgpool", nodes=nodes)
    assert settings.node_ids(spec) == {"a": 0, "c": 2, "d": 3, "e": 4}


def test_a_command_that_only_promotes_lets_nobody_follow() -> None:
    lines = conf(load_cluster("pgpool", ["pgpool.failover_command=promote-only"]))
    assert "promote %d %m %P" in lines
    assert "follow_primary_command = ''" in lines


def test_actions_may_be_spelled_as_options() -> None:
    assert spelled(["-v", "--init", "--config", "f"]) == ["-v", "init", "--config", "f"]
    assert spelled(["--remove-replica", "replica2"]) == ["remove-replica", "replica2"]


def test_a_persons_own_settings_come_last_and_the_model_follows_them() -> None:
    spec = load_cluster("pgpool", ["pgpool.health_check_period=9", "pgpool.load_balance_mode=false"])
    lines = conf(spec).splitlines()
    assert "load_balance_mode = 'off'" in lines
    assert settings.outage_model(spec).outage_s == 9 + 3 * 4 + 2 + 5
    assert settings.outage_model(load_cluster("pgpool", ["profile=fast"])).outage_s == 11


def test_passwords_stand_only_in_files_that_are_for_passwords() -> None:
    files = settings.files(load_cluster("pgpool"), WORDS, Path("/lab"))
    for name, text in files.items():
        if name not in (settings.PASSWORDS, settings.PCP_PASSFILE):
            assert "secret-of" not in text, name


class ToolHost(FakeHost):
    """A host whose PCP tools answer what they are told to."""

    def __init__(self, answer: Completed) -> None:
        super().__init__(Path("/lab/hosts/pgpool"), "pgpool", "172.28.0.14")
        self.answer = answer
        self.asked: list[Program] = []

    async def run(self, program: Program, *, timeout_s: float, stdin: bytes = b"") -> Completed:
        self.asked.append(program)
        return self.answer


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlast.systems.pgpool.pcp.program", lambda name: f"/usr/sbin/{name}")


async def test_backends_are_read_from_the_tools_words() -> None:
    host = ToolHost(Completed(0, TWO_NODES, ""))
    first, second = await Pcp(host).nodes()
    assert (first.number, first.status, first.role, first.attached) == (0, "up", "primary", True)
    assert (second.number, second.status, second.pg_status, second.attached) == (1, "down", "up", False)
    assert second.lag_bytes == 128
    assert not any("secret" in word for word in host.asked[0].argv)


async def test_a_refusal_is_told_in_pgpools_own_words() -> None:
    host = ToolHost(Completed(1, "", "FATAL:  authentication failed for user\n"))
    with pytest.raises(PcpError, match="authentication failed"):
        await Pcp(host).attach(1)


def test_a_cluster_without_a_balancer_is_no_pgpool_cluster() -> None:
    spec = ClusterSpec(system="pgpool")
    assert PgpoolSystem().available(spec) == "the cluster has no service of kind pgpool"


def test_a_setting_that_pgpool_does_not_know_is_refused() -> None:
    require(missing(*TOOLS))
    assert "no setting nosuch" in str(PgpoolSystem().available(load_cluster("pgpool", ["pgpool.nosuch=1"])))
    known = load_cluster(
        "pgpool", ["pgpool.health_check_period0=3", "pgpool.statement_level_load_balance=on"]
    )
    assert PgpoolSystem().available(known) is None
