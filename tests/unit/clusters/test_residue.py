"""The search for residue finds what is there, and does not accuse what came later."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from outlast.clusters.residue import Census, find_residue, take_census
from outlast.hosts.netns.launch import process_start_ticks


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives in a namespace of its own."""
    argv = [
        "unshare",
        "--user",
        "--uts",
        sys.executable,
        "-c",
        "print(1, flush=True); import time; time.sleep(60)",
    ]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def census_of(pid: int, folder: Path) -> Census:
    space = str(Path(f"/proc/{pid}/ns/uts").readlink())
    ticks = process_start_ticks(pid)
    return Census(folder, frozenset({(pid, ticks)}), frozenset({space}), ticks)


def test_a_living_process_its_namespace_and_folder_are_residue(
    stranger: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    found = find_residue(census_of(stranger.pid, tmp_path))
    kinds = [line.split()[0] for line in found]
    assert kinds == ["process", "namespace", "folder"], found


def test_a_lab_that_is_gone_left_nothing(stranger: subprocess.Popen[bytes], tmp_path: Path) -> None:
    census = census_of(stranger.pid, tmp_path / "gone")
    stranger.kill()
    stranger.wait()
    assert find_residue(census) == []


def test_a_namespace_number_that_a_later_process_was_given_is_no_residue(
    stranger: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    census = census_of(stranger.pid, tmp_path / "gone")
    earlier = replace(census, processes=frozenset(), taken_ticks=census.taken_ticks - 1)
    assert find_residue(earlier) == []


def test_a_namespace_number_that_another_labs_process_was_given_is_no_residue(
    stranger: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    census = census_of(stranger.pid, tmp_path / "gone")
    another = replace(census, processes=frozenset(), others=census.processes)
    assert find_residue(another) == []


def test_a_folder_without_a_lab_has_an_empty_census(tmp_path: Path) -> None:
    census = take_census(tmp_path)
    assert (census.processes, census.namespaces) == (frozenset(), frozenset())
