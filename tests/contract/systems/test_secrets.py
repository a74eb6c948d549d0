"""No password of a lab can be read where it does not belong: not in data, logs, argv or environment of any process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from labs import ODD_FOLDER, lab_up
from skips import require

from outlast.clusters import lifecycle
from outlast.clusters.system_registry import system
from outlast.config import ClusterSpec, load_cluster
from outlast.hosts.netns.lab import NetnsLab
from outlast.monitoring.services import with_monitoring
from outlast.routes.registry import with_route
from outlast.systems.base import HasPrimary, HasServers
from outlast.systems.programs import missing

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

SHORT = 12
"""Shorter ones are chosen by somebody, and may be found by chance."""


def spec_of(name: str) -> ClusterSpec:
    sets = ["ports={}", "profile=fast"]
    if name in ("streaming", "patroni") and missing("pgbackrest") is None:
        sets.append("backup=on")
    spec = load_cluster(name, sets)
    if name == "patroni" and missing("pgbouncer", "haproxy") is None:
        spec = with_route(spec, "pgbouncer")
    return with_monitoring(spec)


def holders(root: Path, secrets: Sequence[bytes]) -> list[Path]:
    """Return the files below root that hold one of the secrets in clear."""
    found = []
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            try:
                text = path.read_bytes()
            except OSError:  # gone meanwhile
                continue
            if any(secret in text for secret in secrets):
                found.append(path)
    return found


def below(pid: int) -> list[int]:
    """Return a process of the machine and all below it."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


@pytest.mark.parametrize(
    "name",
    [
        "pg_auto_failover",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("patroni", "streaming", "pgpool")),
    ],
)
def test_passwords_are_in_files_of_their_owner_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(name)
    require(system(name).available(spec))
    state = tmp_path / ODD_FOLDER
    monkeypatch.setenv("OUTLAST_STATE", str(state))
    with lab_up(state, "secret", spec):
        cluster = lifecycle.attach("secret")
        assert isinstance(cluster, HasServers) and isinstance(cluster, HasPrimary)
        words = cluster.credentials.passwords
        secrets = [word.encode() for word in words.values() if len(word) >= SHORT]
        assert secrets
        folder = state / "labs" / "secret"
        held = holders(folder, secrets)
        assert folder / "credentials.json" in held  # else the search itself is broken
        inside = [
            path for path in held if {"data", "log", "backups"} & set(path.relative_to(folder).parts[:-1])
        ]
        assert inside == []
        open_to_others = [path for path in held if path.stat().st_mode & 0o077]
        assert open_to_others == []
        assert [path for path in held if path.suffix == ".log"] == []
        init = NetnsLab.open(folder).init_pid
        assert init is not None
        told = []
        for pid in below(init):
            for what in ("cmdline", "environ"):
                try:
                    text = Path(f"/proc/{pid}/{what}").read_bytes()
                except OSError:
                    continue
                told += [f"{what} of {pid}: {text[:200]!r}" for secret in secrets if secret in text]
        assert told == []
