"""What a run shows while it lasts: one small file in its folder, replaced as a whole twice a second.

``RUN/live.json`` is written by the tool and read by whoever wants to look: ``status``, the exporter, a page. Each lab
says where its newest run is, in a file ``live-run`` of its own folder and of its exporter's (a host sees no other).
This is the reader, and imports next to nothing; ``feed`` is the writer.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outlast.clock import now_ns, seconds_between

FILE: Final = "live.json"
POINTER: Final = "live-run"
STALE_S: Final = 5.0
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class LiveFault:
    """A fault of the run. at_s, healed_s: seconds from the start of the load; healed_s None while it lasts."""

    fault: str
    targets: tuple[str, ...]
    at_s: float
    healed_s: float | None
    effective: bool | None


@dataclass(frozen=True, slots=True)
class Live:
    """A run at one moment.

    phase: what it is at, in a word or few (``load``, ``judging``, ``done``). at_ns: when this was written, monotonic.
    ok, fail, info, open: operations so far. rate_per_s: acks a second, since the last look. outage_s: seconds since
    the newest ack, outage_worst_s the longest such gap seen. p50_ms, p99_ms: latency of the acks since the last look,
    None without one. verdict: None until there is one.
    """

    run: str
    lab: str
    drill: str
    system: str
    phase: str
    at_ns: int
    elapsed_s: float = 0.0
    duration_s: float = 0.0
    ok: int = 0
    fail: int = 0
    info: int = 0
    open: int = 0
    rate_per_s: float = 0.0
    outage_s: float = 0.0
    outage_worst_s: float = 0.0
    faults: tuple[LiveFault, ...] = ()
    verdict: str | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    version: int = VERSION

    @property
    def is_running(self) -> bool:
        """Whether the run has not ended, as far as can be seen: its tool may have been killed."""
        return self.verdict is None and seconds_between(self.at_ns, now_ns()) < STALE_S

    @property
    def faults_active(self) -> tuple[LiveFault, ...]:
        """The faults that are not healed yet."""
        return tuple(fault for fault in self.faults if fault.healed_s is None)


def read_live(folder: Path) -> Live | None:
    """Return what the newest run of a lab shows. folder: the lab's, or a run's own. None when there is nothing yet.

    Never raises for a file that is missing, of another version or half known; O(faults) time.
    """
    place = folder / FILE
    with contextlib.suppress(OSError):
        if pointed := (folder / POINTER).read_text().strip():
            place = Path(pointed) / FILE
    try:
        raw = json.loads(place.read_text())
        if raw.get("version") != VERSION:
            return None
        faults = tuple(
            LiveFault(**{**fault, "targets": tuple(fault["targets"])}) for fault in raw.pop("faults")
        )
        return Live(**raw, faults=faults)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
