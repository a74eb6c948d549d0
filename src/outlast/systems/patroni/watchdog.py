"""A watchdog for a host without one: it resets the host when Patroni's keepalives stop.

Patroni's ``testing`` driver writes to a named pipe what it would tell /dev/watchdog: ``Ctimeout=N`` sets the time-out
in seconds, ``V`` disarms, anything else is a keepalive. This program reads the pipe. When an armed time-out passes it
kills every process of the host but the host's init, the way a hardware watchdog cuts the machine off; what restarts
the host is whoever heals the fault. Source: Patroni, watchdog/linux.py; Linux watchdog API.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import time
from pathlib import Path

_TIMEOUT = re.compile(rb"Ctimeout=(\d+)\n")


def read_orders(data: bytes, timeout_s: float) -> tuple[bool, float]:
    """Return (armed, time-out in seconds) after the orders in data."""
    for found in _TIMEOUT.finditer(data):
        timeout_s = float(found.group(1))
    return not data.endswith(b"V"), timeout_s


def main() -> int:
    """Guard the host until killed. argv[1] is the pipe's path; it is made when it is not there."""
    pipe = Path(sys.argv[1])
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe, 0o600)
    # Open for both ends: Patroni's open never blocks, and its death shows as silence, not as the end of the file.
    fd = os.open(pipe, os.O_RDWR)
    armed, timeout_s, fed = False, 60.0, 0.0
    while True:
        wait_s = max(0.0, fed + timeout_s - time.monotonic()) if armed else None
        ready, _, _ = select.select([fd], [], [], wait_s)
        if ready:
            armed, timeout_s = read_orders(os.read(fd, 4096), timeout_s)
            fed = time.monotonic()
        elif armed:
            print(f"no keepalive for {timeout_s:g} s: resetting the host", flush=True)
            os.kill(-1, signal.SIGKILL)
            armed = False
