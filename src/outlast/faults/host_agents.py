"""Programs that run on a host of the lab for as long as a fault lasts, and one that measures there.

They outlive the tool, end with their host, and undo what they did when they get SIGTERM. Only the standard library:
they are called in a child of the host's init, without exec.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from types import FrameType


def _processes() -> dict[int, tuple[int, str, str]]:
    """Return parent, name and state letter of each process but the host's init and this one."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) in (1, os.getpid()):
            continue
        try:
            name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        fields = rest.split()
        found[int(entry.name)] = (int(fields[1]), name, fields[0])
    return found


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def crash_loop() -> int:
    """argv: period in seconds, process (postgres: the server in ./data, else a program's name). Kills it for ever."""
    period_s, process = float(sys.argv[1]), sys.argv[2]
    while True:
        processes = _processes()
        if process == "postgres":
            try:
                master = int(Path("data/postmaster.pid").read_text().split("\n", 1)[0])
            except (OSError, ValueError):
                master = 0
            # By name too: after a crash the lock file names a pid that may belong to another program by now.
            doomed = [
                pid
                for pid, (parent, name, _state) in processes.items()
                if master in (pid, parent) and name == process
            ]
        else:
            doomed = [pid for pid, (_parent, name, _state) in processes.items() if name == process]
        for pid in doomed:
            _send(pid, signal.SIGKILL)
        if doomed:
            print(f"killed {doomed}", flush=True)
        time.sleep(period_s)


def throttle() -> int:
    """argv: share of the time in which the host's programs may run, period in seconds.

    Never lets anything go on that another had stopped.
    """
    share, period_s = float(sys.argv[1]), float(sys.argv[2])
    held: set[int] = set()
    signal.signal(signal.SIGTERM, _end)
    try:
        while True:
            for pid, (_parent, name, state) in _processes().items():
                if state not in "TtZX" and not name.startswith("fault:"):
                    held.add(pid)
                    _send(pid, signal.SIGSTOP)
            time.sleep(period_s * (1 - share))
            for pid in held:
                _send(pid, signal.SIGCONT)
            held.clear()
            time.sleep(period_s * share)
    finally:
        for pid in held:
            _send(pid, signal.SIGCONT)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def limit_memory() -> int:
    """argv: bytes that each program may map beyond what it has mapped. Lifts the limits when it is ended."""
    headroom = int(sys.argv[1])
    seen: set[int] = set()
    signal.signal(signal.SIGTERM, _end)
    try:
        while True:
            for pid, (_parent, name, _state) in _processes().items():
                if pid in seen or name.startswith("fault:"):
                    continue
                with contextlib.suppress(OSError, ValueError):
                    mapped = (
                        int((Path("/proc") / str(pid) / "statm").read_text().split()[0])
                        * resource.getpagesize()
                    )
                    soft, hard = resource.prlimit(pid, resource.RLIMIT_AS)
                    if soft == resource.RLIM_INFINITY:  # else it has its parent's
                        resource.prlimit(pid, resource.RLIMIT_AS, (mapped + headroom, hard))
                    seen.add(pid)
            time.sleep(0.2)
    finally:
        for pid in _processes():
            with contextlib.suppress(OSError, ValueError):
                hard = resource.prlimit(pid, resource.RLIMIT_AS)[1]
                resource.prlimit(pid, resource.RLIMIT_AS, (hard, hard))


def hold_connections() -> int:
    """argv: address, port, how many. Opens connections that never answer the server's question for a password.

    Each takes a backend's slot until the server's authentication_timeout; then it is opened again.
    """
    address, port, wanted = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    settings = b"user\0outlast\0database\0postgres\0\0"
    hello = struct.pack("!II", len(settings) + 8, 196608) + settings  # protocol 3.0
    held: list[socket.socket] = []
    while True:
        gone = set(select.select(held, [], [], 0.05)[0]) if held else set()
        for connection in gone:
            with contextlib.suppress(OSError):
                if connection.recv(65536):
                    continue  # its question
            held.remove(connection)
            connection.close()
        while len(held) < wanted:
            try:
                connection = socket.create_connection((address, port), 1)
                connection.sendall(hello)
                held.append(connection)
            except OSError:
                break
        time.sleep(0.02)


def time_disk() -> int:
    """argv: what (write, read), bytes at a time, least and most times, seconds. Prints how long each took, in ms.

    write: into one place of a file and fdatasync, as a server does with its log; read: past the page cache. It ends
    once it has done so for the seconds, after the least number of times.
    """
    what, size, least, most, patience_s = sys.argv[1], *map(int, sys.argv[2:5]), float(sys.argv[5])
    path = Path(f".timed-{os.getpid()}")
    block = mmap.mmap(-1, size)  # aligned, as reading past the cache wants it
    block.write(os.urandom(size))
    started = time.monotonic()
    took: list[float] = []
    try:
        path.write_bytes(block)
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_DIRECT if what == "read" else 0))
        os.fsync(file)
        while len(took) < least or (len(took) < most and time.monotonic() - started < patience_s):
            began = time.monotonic()
            if what == "read":
                os.preadv(file, [block], 0)
            else:
                os.pwrite(file, block, 0)
                os.fdatasync(file)
            took.append((time.monotonic() - began) * 1000)
    except OSError as error:
        print(error.strerror, file=sys.stderr)
        return 1
    finally:
        path.unlink(missing_ok=True)
    print(*took)
    return 0
