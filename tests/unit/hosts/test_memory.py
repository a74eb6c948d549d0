"""Where a limited group is made and what is written there, for both versions of control groups, on folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.errors import HostError
from outlast.hosts.netns import cgroups, memory
from outlast.hosts.netns.memory import V1, V2, Limited

LIMIT = 64 * 1024 * 1024


def machine(
    monkeypatch: pytest.MonkeyPatch, *, v1: Path | None = None, v2: Path | None = None, top: Path
) -> None:
    """Have this process be in these groups, of either version."""

    def group_of(_pid: int | str, controller: str) -> Path | None:
        return v1 if controller else v2

    monkeypatch.setattr(cgroups, "group_of", group_of)
    monkeypatch.setattr(cgroups, "mounted_v2", lambda: (top, "/"))


def lab(tmp_path: Path) -> Path:
    folder = tmp_path / "labs" / "mine"
    folder.mkdir(parents=True)
    return folder


def test_in_version_1_it_lies_below_the_programs_own_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "memory/slice"
    own.mkdir(parents=True)
    machine(monkeypatch, v1=own, top=tmp_path)
    folder = lab(tmp_path)
    limited = Limited(folder / memory.FOLDER / "pg-node-1.json")
    limited.limit([11, 12], LIMIT)
    (group,) = memory.groups(folder)
    assert group.parent == own
    assert group.name.startswith("outlast-mine-pg-node-1-")
    assert (group / V1.limit).read_text() == str(LIMIT)
    assert (group / V1.swap).read_text() == str(LIMIT), "memory and swap together"
    assert (group / "cgroup.procs").read_text() == "12"
    (group / V1.kills).write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert limited.kills == 3
    assert memory.left([group]) == [f"control group {group}"]


def test_in_version_2_it_lies_below_the_nearest_group_that_passes_memory_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "user.slice/session.scope"
    own.mkdir(parents=True)
    for path, controllers in ((tmp_path, "cpu memory"), (tmp_path / "user.slice", "memory pids"), (own, "")):
        (path / "cgroup.subtree_control").write_text(controllers)
    machine(monkeypatch, v2=own, top=tmp_path)
    folder = lab(tmp_path)
    limited = Limited(folder / memory.FOLDER / "pg-node-1.json")
    limited.limit([11], LIMIT)
    limited.limit([12], LIMIT)  # takes in more; the group stays the same one
    (group,) = memory.groups(folder)
    assert group.parent == tmp_path / "user.slice"
    assert (group / V2.limit).read_text() == str(LIMIT)
    assert (group / V2.swap).read_text() == "0"
    (group / V2.kills).write_text("low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n")
    assert limited.kills == 1


def test_where_nothing_passes_memory_on_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, v2=tmp_path, top=tmp_path)
    assert "no memory controller" in (memory.unavailable() or "")
    folder = lab(tmp_path)
    with pytest.raises(HostError, match="no memory controller"):
        Limited(folder / memory.FOLDER / "pg-node-1.json").limit([11], LIMIT)
    assert memory.groups(folder) == frozenset()


def test_a_host_whose_memory_is_not_limited_has_nothing_to_count_or_free(tmp_path: Path) -> None:
    limited = Limited(lab(tmp_path) / memory.FOLDER / "pg-node-1.json")
    assert limited.kills is None
    assert limited.group is None
    limited.free()


def test_a_group_that_has_gone_with_its_machine_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "memory"
    own.mkdir()
    machine(monkeypatch, v1=own, top=tmp_path)
    folder = lab(tmp_path)
    limited = Limited(folder / memory.FOLDER / "pg-node-1.json")
    limited.limit([11], LIMIT)
    group = limited.group
    assert group is not None
    for file in group.iterdir():
        file.unlink()
    group.rmdir()
    assert limited.kills is None
    memory.free_all(folder)
    assert memory.groups(folder) == frozenset()
