"""Whatever dies, and whenever: nothing stays on the machine.

Each case starts the program, kills the tool or the lab's init with SIGKILL at a moment chosen from a seed, runs
``outlast down --all``, and searches the machine: processes and mounts that have to do with the state folder, and the
folder itself. OUTLAST_KILLS sets how many cases (8 in CI; 200 in ``make proof``).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest
from program import USERS, command, outlast
from waiting import until

from outlast.hosts.state import labs_folder, state_folder
from outlast.pace import scaled

KILLS = int(os.environ.get("OUTLAST_KILLS", "8"))
LONGEST_S = {"up": 4.0, "drill": 11.0, "down": 0.9}
DRILL = (
    "workload: {append: {clients: 2, rate: 100/s}}\n"
    "timeline:\n  - {at: 0.5s, fault: host_power_off, on: one-standby, heal: 0.5s}\n"
    "duration: 1.5s\n"
)


def traces(state: Path) -> list[str]:
    """Return every process and mount of the machine that has to do with a state folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or entry.name == str(os.getpid()):
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = str((entry / "cwd").readlink())
        except OSError:
            continue
        if str(state) in line or where.startswith(str(state)):
            found.append(f"process {entry.name}: {line or where}")
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return found + [line for line in mounts if str(state) in line]


def init_pid() -> int | None:
    for saved in labs_folder().glob("*/init.json"):
        try:
            return int(json.loads(saved.read_text())["pid"])
        except (OSError, ValueError):
            return None
    return None


def clean_up() -> None:
    down = outlast("down", "--all", "--json")
    assert down.code == 0, down.err
    assert down.json["residue"] == []
    until(lambda: not traces(state_folder()), "every trace of it to go", 5)
    assert list(labs_folder().iterdir()) == []


@pytest.mark.parametrize("case", range(KILLS))
def test_sigkill_at_any_moment_leaves_nothing(case: int, tmp_path: Path) -> None:
    rng = random.Random(f"kill/{case}")
    what = rng.choice(["up", "drill", "drill", "down"])
    victim = rng.choice(["tool", "init"])
    after_s = rng.uniform(0.1, LONGEST_S[what])
    drill = tmp_path / "quick.yaml"
    drill.write_text(DRILL)
    words = {"up": ["up", "patroni"], "drill": ["drill", str(drill)], "down": ["down"]}[what]
    if what == "down":
        assert outlast("up", "patroni", "--profile", "fast").code == 0
    options = ["--profile", "fast"] if what != "down" else []
    with (tmp_path / "out").open("w") as out:
        user = rng.choice(USERS)
        tool = subprocess.Popen(command(*words, *options, user=user), stdout=out, stderr=out)
        try:
            tool.wait(after_s)
        except subprocess.TimeoutExpired:
            pid = tool.pid if victim == "tool" else init_pid()
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        if victim == "tool":
            tool.wait(scaled(10))
        else:
            tool.wait(scaled(60))  # it must notice by itself, and end
    clean_up()


def says(tool: subprocess.Popen[bytes], out: Path, words: str) -> None:
    """Wait until the tool has said these words."""

    def said() -> bool:
        assert tool.poll() is None, out.read_text()
        return words in out.read_text()

    until(said, words, 40)


def test_ctrl_c_in_the_middle_of_a_drill_heals_and_removes_everything(tmp_path: Path) -> None:
    drill = tmp_path / "quick.yaml"
    drill.write_text(DRILL.replace("duration: 1.5s", "duration: 60s"))
    with (tmp_path / "out").open("w") as out:
        tool = subprocess.Popen(command("drill", str(drill), "--profile", "fast"), stdout=out, stderr=out)
        says(tool, tmp_path / "out", "host_power_off on")
        tool.send_signal(signal.SIGINT)
        assert tool.wait(scaled(60)) == 130, (tmp_path / "out").read_text()
    assert list(labs_folder().iterdir()) == []
    assert traces(state_folder()) == []


def test_a_tool_killed_in_a_drill_takes_its_lab_with_it(tmp_path: Path) -> None:
    drill = tmp_path / "quick.yaml"
    drill.write_text(DRILL.replace("duration: 1.5s", "duration: 60s"))
    with (tmp_path / "out").open("w") as out:
        tool = subprocess.Popen(command("drill", str(drill), "--profile", "fast"), stdout=out, stderr=out)
        says(tool, tmp_path / "out", "load for")
        pid = init_pid()
        assert pid is not None
        tool.kill()
        tool.wait(scaled(10))
        until(lambda: not Path(f"/proc/{pid}").exists(), "the lab to end with its tool", 10)
    until(
        lambda: not any(one.startswith("process") for one in traces(state_folder())),
        "its processes to end",
        5,
    )
    clean_up()
