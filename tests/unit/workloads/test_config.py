"""The worker's contract, and how its connection string is split."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from random import Random

import pytest

from outlast.errors import ConfigError
from outlast.workloads import WORKLOADS, AppendWorkload, WorkerConfig, split
from outlast.workloads.endpoints import endpoints


def config(dsn: str = "host=10.0.0.1", **given: object) -> WorkerConfig:
    return WorkerConfig("w", "/ops", dsn, **{"clients": 8, **given})  # type: ignore[arg-type]


def test_a_config_comes_back_from_its_file(tmp_path: Path) -> None:
    written = config(rate_per_s=500.0, start_ns=1 << 60, prepared=False)
    written.write(tmp_path / "c.json")
    assert WorkerConfig.read(tmp_path / "c.json") == written


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "w"}', "\0"])
def test_what_is_no_config_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ConfigError, match=r"c\.json"):
        WorkerConfig.read(tmp_path / "c.json")


@pytest.mark.parametrize("workers", [1, 2, 3, 8, 100])
def test_split_shares_clients_and_rate_and_no_process(workers: int) -> None:
    parts = split(config(rate_per_s=500.0, first_process=10, start_ns=1000), workers)
    assert sum(part.clients for part in parts) == 8
    assert sum(part.rate_per_s or 0 for part in parts) == pytest.approx(500)
    processes = [set(range(p.first_process, p.first_process + p.processes)) for p in parts]
    assert len(set.union(*processes)) == sum(map(len, processes))
    assert min(set.union(*processes)) == 10
    assert len({part.name for part in parts}) == len(parts)
    assert [part.start_ns for part in parts] == [1000 + i * 2_000_000 for i in range(len(parts))]


def test_each_host_gets_a_connection_string_of_its_own() -> None:
    found = endpoints(
        config("postgresql://app@10.0.0.1:1,10.0.0.2:2/db?target_session_attrs=read-write", passfile="/p")
    )
    assert found.follows
    assert [host.name for host in found.hosts] == ["10.0.0.1:1", "10.0.0.2:2"]
    first = found.hosts[0].conninfo.decode()
    assert "10.0.0.2" not in first
    for part in ("host=10.0.0.1", "port=1", "dbname=db", "passfile=/p", "tcp_user_timeout=3000"):
        assert part in first.split()


def test_one_port_serves_all_hosts_and_a_single_host_is_pinned() -> None:
    found = endpoints(config("host=a,b,c port=7"))
    assert [host.name for host in found.hosts] == ["a:7", "b:7", "c:7"]
    assert not endpoints(config("host=a")).follows


@pytest.mark.parametrize(
    "dsn", ["what?", "host=a,b,c port=1,2", "host=a password=x", "postgresql://u:x@a/db"]
)
def test_a_dsn_that_cannot_be_used_is_an_error(dsn: str) -> None:
    with pytest.raises(ConfigError, match="dsn"):
        endpoints(config(dsn))


def test_appended_numbers_are_unique_across_processes() -> None:
    calls = [
        call for process in range(9) for call in islice(AppendWorkload().generator(process, Random(0)), 100)
    ]
    assert len({call.value for call in calls}) == 900
    assert all(int.from_bytes(call.params[0], "big") == call.value for call in calls)


def test_every_workload_is_known_by_its_own_name() -> None:
    assert all(workload.name == name for name, workload in WORKLOADS.items())
