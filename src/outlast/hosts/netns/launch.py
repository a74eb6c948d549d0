"""Start a lab: leave the machine's namespaces, become process 1 of new ones, serve.

Run as ``python -m outlast.hosts.netns.launch FOLDER`` by the tool, which reads one line from stdout:
``ready``, or why not. FOLDER holds launch.json (see LaunchPlan). A program of its own because a process
with threads can't enter a user namespace.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NoReturn

from outlast.files import write_atomic
from outlast.hosts.netns import syscalls
from outlast.hosts.netns.gate import Gate
from outlast.hosts.netns.init import HOST_NAMESPACES, Init
from outlast.hosts.netns.wires import Wires

PLAN_NAME: Final = "launch.json"
PID_NAME: Final = "init.json"


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """What the launcher is told: the lab's name, the folders that stay writable and those that stay to be
    seen. stdin is the lab's lifeline: until it is released, the lab ends when the other end is closed."""

    name: str
    writable: tuple[str, ...]
    visible: tuple[str, ...]

    def save(self, folder: Path) -> None:
        """Write the plan to the lab's folder."""
        (folder / PLAN_NAME).write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> LaunchPlan:
        """Read the plan from the lab's folder."""
        raw = json.loads((folder / PLAN_NAME).read_text())
        return cls(raw["name"], tuple(raw["writable"]), tuple(raw["visible"]))


def process_start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks since boot: with its pid, the name of that process.

    Raises ProcessLookupError when there is none. Source: proc_pid_stat(5), field 22.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(pid) from error
    return int(stat.rpartition(")")[2].split()[19])


def init_pid(folder: Path) -> int | None:
    """Return the pid of the init of the lab in folder, as the machine sees it; None when it has ended."""
    try:
        saved = json.loads((folder / PID_NAME).read_text())
        pid = int(saved["pid"])
        return pid if process_start_ticks(pid) == int(saved["start_ticks"]) else None
    except (OSError, ValueError, KeyError):
        return None


def main(folder: Path) -> int:
    """Launch the lab in folder; returns the launcher's exit code."""
    plan = LaunchPlan.load(folder)
    os.chdir(folder)
    uid, gid = os.geteuid(), os.getegid()
    # Opened on the machine's own mount: a file open for writing would keep the lab's copy of it from being read-only.
    log = os.open(folder / "init.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        _leave_machine(uid, gid)
    except OSError as error:
        print(f"refused: {error.strerror}", flush=True)
        return 1
    go_reader, go_writer = os.pipe()
    ready_reader, ready_writer = os.pipe()
    lifeline = os.dup(0)
    pid = os.fork()
    if pid == 0:
        os.close(go_writer)
        os.close(ready_reader)
        if os.read(go_reader, 1) != b"g":
            os._exit(1)  # the launcher died before it could write down who we are
        os.close(go_reader)
        _become_init(folder, plan, log, ready_writer, lifeline)
    os.close(ready_writer)
    # Written before the lab's init does anything: whatever happens next, it can be found again.
    write_atomic(folder / PID_NAME, json.dumps({"pid": pid, "start_ticks": process_start_ticks(pid)}))
    os.write(go_writer, b"g")
    with open(ready_reader, "rb") as pipe:  # noqa: PTH123 - a descriptor, not a path
        said = pipe.read().decode(errors="replace")
    print(said or "the lab's init ended at once; its own words are in init.log", flush=True)
    return 0 if said == "ready" else 1


def _leave_machine(uid: int, gid: int) -> None:
    """Enter new namespaces; without privilege, a user namespace first, in which we are root."""
    if uid == 0:
        try:
            syscalls.unshare(HOST_NAMESPACES)
            return
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
    syscalls.unshare(HOST_NAMESPACES | syscalls.CLONE_NEWUSER)
    syscalls.map_user(0, uid, gid)


def _become_init(folder: Path, plan: LaunchPlan, log: int, ready: int, lifeline: int) -> NoReturn:
    """In the first process of the new namespaces: make the lab's own processes and serve."""
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, place in ((null, 0), (log, 1), (log, 2)):
        os.dup2(fd, place)
    os.setsid()
    syscalls.set_process_name(f"lab:{plan.name}")
    syscalls.sethostname(plan.name)
    writable = [Path(path) for path in plan.writable]
    visible = [Path(path) for path in plan.visible]
    syscalls.isolate_mounts(writable, visible)
    init = Init(folder, writable, visible)
    init.fork_child("lab-wires", Wires(folder).serve)
    init.fork_child("lab-gate", Gate(folder).serve)
    os.write(ready, b"ready")
    os.close(ready)
    init.serve(lifeline)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
