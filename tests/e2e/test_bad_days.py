"""What goes wrong while a cluster comes up ends in bounded time, with the reason, and leaves nothing.

The disk that is full is a small tmpfs on the state folder, in a mount namespace that ends with the test.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from program import outlast

from outlast.clock import now_ns, seconds_between
from outlast.clusters import lifecycle
from outlast.config import load_cluster
from outlast.errors import ClusterError
from outlast.hosts.base import Host
from outlast.hosts.state import labs_folder, state_folder
from outlast.pace import scaled
from outlast.systems.etcd import member as etcd
from outlast.systems.patroni import system as patroni
from outlast.systems.patroni.system import PatroniSystem, PatroniTimeouts

pytestmark = pytest.mark.lab

SHORT = PatroniTimeouts(dcs_s=1.0, primary_s=15.0, replica_s=15.0)


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patroni, "SYSTEM", PatroniSystem(SHORT))


async def failing(*sets: str) -> tuple[str, float]:
    """Bring a cluster up that cannot come up; return the error and the seconds it took. Nothing may stay."""
    start = now_ns()
    with pytest.raises(ClusterError) as caught:
        await lifecycle.bring_up(load_cluster("patroni", sets), "bad", lambda _words: None, keep=True)
    assert list(labs_folder().iterdir()) == []
    return caught.value.message, seconds_between(start, now_ns())


async def test_a_server_that_does_not_start_is_reported_with_its_own_last_words(short_patience: None) -> None:
    words, _took_s = await failing("postgresql.parameters={huge_pages: 'on', shared_buffers: 8GB}")
    assert "PostgreSQL did not start on pg-node-1" in words
    assert "FATAL:  could not map anonymous shared memory" in words


async def test_a_store_that_does_not_elect_is_given_up_with_its_own_last_words(
    short_patience: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_member = etcd.start_member

    async def first_alone(host: Host, *args: Any, **named: Any) -> None:
        if host.name == "etcd-node-1":
            await start_member(host, *args, **named)

    monkeypatch.setattr(etcd, "start_member", first_alone)
    words, took_s = await failing("dcs=3")
    assert f"waited {scaled(1):g} s for etcd to elect; last seen: no member leads" in words
    assert "--- etcd on etcd-node-1" in words and "etcd-node" in words.partition("--- etcd")[2]
    assert took_s < scaled(60)


def test_the_program_says_so_too_and_exits_1() -> None:
    done = outlast("up", "patroni", "--set", "postgresql.parameters={huge_pages: 'on', shared_buffers: 8GB}")
    assert done.code == 1
    assert "could not map anonymous shared memory" in done.err and "Traceback" not in done.err
    assert outlast("ls", "labs", "--json").json == {"labs": []}


def on_small_disk(mib: int, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script with a tmpfs of that size on the state folder; ``$H`` is the program."""
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    mounted = f'mount -t tmpfs -o size={mib}m none "$OUTLAST_STATE"; {script}'
    program = f"{sys.executable} -m outlast.cli.main"
    return subprocess.run(
        ["unshare", *root, "--mount", "sh", "-c", mounted],
        env={**os.environ, "H": program, "OUTLAST_STATE": str(state_folder())},
        capture_output=True,
        text=True,
        timeout=scaled(120),
        check=False,
    )


@pytest.mark.parametrize("mib", [1, 30, 70])
def test_a_disk_that_fills_while_a_cluster_comes_up_is_named_and_nothing_stays(mib: int) -> None:
    done = on_small_disk(mib, '$H up patroni --profile fast; echo "exit $?"; $H ls labs --json')
    code, labs = done.stdout.splitlines()[-2:]
    assert code in ("exit 1", "exit 64"), done.stderr
    assert "No space left on device" in done.stderr or "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(labs) == {"labs": []}


def test_a_disk_that_fills_later_is_found_by_the_doctor_and_the_lab_goes_cleanly(tmp_path: Path) -> None:
    script = (
        "$H up patroni --profile fast --json >/dev/null || exit 1;"
        'dd if=/dev/zero of="$OUTLAST_STATE/fill" bs=1M 2>/dev/null;'
        "$H doctor --lab patroni --json; $H down --json"
    )
    done = on_small_disk(400, script)
    examined, down = map(json.loads, done.stdout.splitlines())
    found = {one["check"]: one for one in examined["checks"] if one["state"] == "bad"}
    assert "disk full" in found and "0 of 400 MiB free" in found["disk full"]["said"]
    assert down["residue"] == []
