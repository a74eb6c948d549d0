"""Where control groups are, as machines of several kinds say it."""

from __future__ import annotations

import os
from pathlib import Path

from outlast.hosts.netns import cgroups

V1 = """\
23 1 254:0 / / rw,relatime - ext4 /dev/vda rw
38 31 0:35 / /sys/fs/cgroup/blkio rw,relatime - cgroup cgroup rw,blkio
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2 = "41 31 0:38 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
CONTAINER = "38 31 0:35 /docker/abc /sys/fs/cgroup/blkio ro - cgroup cgroup rw,blkio\n"


def mounts(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(text)
    return path


def test_a_controller_of_version_1_is_found_also_beside_another(tmp_path: Path) -> None:
    said = mounts(tmp_path, V1)
    assert cgroups.mounted("blkio", said) == (Path("/sys/fs/cgroup/blkio"), "/")
    assert cgroups.mounted("cpuacct", said) == (Path("/sys/fs/cgroup/cpu,cpuacct"), "/")
    assert cgroups.mounted("memory", said) is None


def test_version_2_is_not_taken_for_version_1(tmp_path: Path) -> None:
    assert cgroups.mounted("blkio", mounts(tmp_path, V2)) is None


def test_a_group_above_what_a_container_shows_is_not_to_be_seen(tmp_path: Path) -> None:
    said = mounts(tmp_path, CONTAINER)
    assert cgroups.mounted("blkio", said) == (Path("/sys/fs/cgroup/blkio"), "/docker/abc")
    group = cgroups.group_of(os.getpid(), "blkio", said)  # this process is not below /docker/abc
    assert group is None


def test_a_process_that_has_ended_is_in_no_group(tmp_path: Path) -> None:
    assert cgroups.group_of(2**22 + 1, "blkio", mounts(tmp_path, V1)) is None
