"""Mounts are found whatever their names hold: one that is overlooked is one that is left behind."""

from __future__ import annotations

from pathlib import Path

from outlast.hosts.netns.mounts import mount_points_below, mounts

TABLE = r"""proc /proc proc rw 0 0
/dev/loop0 /tmp/st\040ate's\011\134\043/labs/a ext4 rw 0 0
/dev/loop1 /tmp/st\040ate's\011\134\043/labs/a/hosts/é ext4 rw 0 0
/dev/loop2 /tmp/st\040ate's\011\134\043/labs/ab ext4 rw 0 0
"""
FOLDER = "/tmp/st ate's\t\\#/labs/a"


def test_names_are_read_as_they_are_and_only_those_in_the_folder(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text(TABLE)
    assert mount_points_below(FOLDER, table) == [FOLDER, f"{FOLDER}/hosts/é"]
    assert ("/dev/loop1", f"{FOLDER}/hosts/é") in list(mounts(table))


def test_this_machine_has_its_own() -> None:
    assert "/proc" in [point for _, point in mounts()]
