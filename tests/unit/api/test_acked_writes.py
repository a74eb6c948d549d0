"""What the API says without a cluster: connection strings, lost values, settings that make no sense."""

from __future__ import annotations

import subprocess
import sys
import uuid
from typing import Any

import pytest
import sqlalchemy
from psycopg.conninfo import conninfo_to_dict

import outlast
from outlast.api.acked_writes import describe_missing, values_query
from outlast.api.connection_info import ConnectionInfo
from outlast.errors import ConfigError, OutlastError

THREE = ConnectionInfo(
    {"n1": ("127.0.0.1", 5001), "n2": ("127.0.0.1", 5002), "n3": ("127.0.0.1", 5003)},
    "appdb",
    "appuser",
    "/state/my labs/pgpass",
)


def test_a_connection_string_names_all_nodes_and_no_password() -> None:
    found = conninfo_to_dict(THREE.dsn("primary"))
    assert found["port"] == "5001,5002,5003"
    assert (found["target_session_attrs"], found["passfile"]) == ("read-write", "/state/my labs/pgpass")
    assert (found["connect_timeout"], found["tcp_user_timeout"]) == ("2", "5000")
    assert "password" not in found
    assert conninfo_to_dict(THREE.dsn("n2"))["port"] == "5002"
    assert conninfo_to_dict(THREE.dsn("standby", connect_timeout=9))["connect_timeout"] == "9"


def test_a_url_is_what_sqlalchemy_reads() -> None:
    url = sqlalchemy.make_url(THREE.url("primary"))
    assert (url.username, url.database, url.password) == ("appuser", "appdb", None)
    assert url.query["host"] == ("127.0.0.1:5001", "127.0.0.1:5002", "127.0.0.1:5003")
    assert url.query["passfile"] == "/state/my labs/pgpass"


def test_a_role_that_there_is_not_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="neither a role nor a node"):
        THREE.dsn("leader")


@pytest.mark.parametrize(
    ("acknowledged", "held", "once", "said"),
    [
        ([1, 2], [2, 1, 3], False, ""),
        ([1, 2], [2], False, "1 of 2 acknowledged writes are lost: 1"),
        ([], [1], False, "nothing was acknowledged, so nothing is proven"),
        ([1], [1, 1], False, ""),
        ([1], [1, 1], True, "1 values are there more than once: 1"),
        (["00000000-0000-0000-0000-000000000001"], [uuid.UUID(int=1)], False, ""),
        ([("a", 1)], [("a", 1)], False, ""),
        ([("a", 1)], [("a", 2)], False, "1 of 1 acknowledged writes are lost: ('a', 1)"),
    ],
)
def test_lost_and_doubled_values_are_named(
    acknowledged: list[object], held: list[object], once: bool, said: str
) -> None:
    assert describe_missing(acknowledged, held, exactly_once=once) == said


def test_many_lost_values_are_counted_and_the_first_named() -> None:
    assert describe_missing(range(100), [], exactly_once=False).endswith("8, 9 and 90 more")


def test_names_of_tables_are_quoted_and_one_way_to_say_it_is_wanted() -> None:
    text = values_query(None, 'shop.order"s', "id").as_string(None)
    assert text == 'SELECT "id" FROM "shop"."order""s"'
    for wrong in ((None, None, None), ("SELECT 1", "t", None), (None, None, "id")):
        with pytest.raises(ConfigError, match="say where"):
            values_query(*wrong)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"nodes": 0}, "at least one node"),
        ({"nodse": 3}, "is not a setting"),
        ({"what": "patronia"}, "patroni"),
        ({"name": "Not A Name"}, "is no name for a lab"),
        ({"lab": "l", "nodes": 3}, "for a cluster that is already up"),
        ({"dsn": "nonsense"}, "not a connection string"),
        ({"dsn": "host=a password=secret"}, "contains a password"),
        ({"dsn": "host=a,b port=1,2,3"}, "lists 3 of port for 2 hosts"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_is_made(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(OutlastError, match=said) as raised:
        outlast.cluster(**settings)
    assert "secret" not in str(raised.value)


def test_importing_outlast_imports_none_of_its_parts_and_the_name_cluster_is_always_callable() -> None:
    program = (
        "import sys, outlast; assert [m for m in sys.modules if m.startswith('outlast')] == ['outlast'];"
        "import outlast.clusters.lifecycle; assert callable(outlast.cluster); assert outlast.Cluster;"
        "assert 'OwnCluster' in dir(outlast)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(AttributeError, match="no attribute 'clutser'"):
        outlast.clutser  # type: ignore[attr-defined]  # noqa: B018
