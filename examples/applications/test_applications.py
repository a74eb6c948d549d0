"""Do these programs survive the loss of a primary? ``pytest examples/applications -s`` prints what their users saw.

The programs run on a host of the lab, so that their TCP settings meet a real dead host.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROGRAMS = ("with_psycopg_pool.py", "with_sqlalchemy.py", "with_asyncpg.py")

pytestmark = [
    pytest.mark.ha_cluster("patroni", nodes=3, sync="on", profile="fast"),
    pytest.mark.slow,
    pytest.mark.destructive,
]


@pytest.mark.parametrize("settings", ["good", "bad"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_users_over_a_failover_inside_open_transactions(ha_cluster, program, settings):
    argv = [sys.executable, str(HERE / program), settings]
    with ha_cluster.history("command", argv=argv, name=f"{program}-{settings}") as load:
        time.sleep(3)  # of quiet work
        with ha_cluster.inject("host_power_off", on="primary"):
            ha_cluster.wait_until("failed-over")
            time.sleep(8)  # for the pool to find the new primary
    seen = json.loads(
        next(one for one in load.output() if one.startswith("summary ")).removeprefix("summary ")
    )
    print(f"\n{program} {settings}: {seen}; outage {load.result.outage_s} s")
    acknowledged = [int(line.split()[1]) for line in load.output() if line.startswith("ok ")]
    ha_cluster.assert_no_lost_writes(acknowledged, table="orders", column="id", exactly_once=True)
    with_patience = settings == "good"
    if with_patience:
        assert (seen["errors"], seen["users_stuck"]) == (0, 0)
        assert load.result.outage_s < ha_cluster.failover_timeout_s
    else:
        assert seen["errors"] + seen["users_stuck"] > 0
