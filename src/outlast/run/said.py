"""What managers, monitors and servers said in their logs while a run lasted: their own reasons, with their times."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from outlast.clock import now_ns
from outlast.clusters.service_registry import log_files
from outlast.history.history import Said
from outlast.run.node_logs import end_of
from outlast.systems.base import Cluster
from outlast.units import NS_PER_S

SAID_MAX: Final = 400
TEXT_CHARS_MAX: Final = 300

_LINE: Final = re.compile(
    r"(?:(?P<date>\d{4}-\d\d-\d\d)[ T])?(?P<time>\d\d:\d\d:\d\d(?:[.,]\d+)?)(?: (?:GMT|UTC|Z))?\s*(?P<text>.*)"
)
"""As Patroni, PostgreSQL, pg_autoctl and raftlog begin a line; the last two give no date."""

_TELLING: Final = re.compile(
    r"\b(?:WARN(?:ING)?|ERROR|FATAL|PANIC|CRITICAL)\b|exceeds maximum replication lag|not the healthiest|report_lsn|"
    r"\b(?:promot|demot|fenc|refus|failover|leader lock|session lock|fast_forward|wait_primary|draining)",
    re.IGNORECASE,
)
"""Lines that give a reason or take a step; what a manager says each round of its loop is none."""

_CHANGING: Final = re.compile(r"[0-9A-F]*\d[0-9A-F/.:]*")


def what_was_said(cluster: Cluster, start_ns: int, end_ns: int) -> tuple[Said, ...]:
    """Return the telling lines of every node's logs between two monotonic moments, in order of time.

    Of lines that differ in figures only, said by one node again and again, the first is kept with how often it came.
    At most SAID_MAX. The nodes' clocks are taken for the machine's.
    """
    wall_ns = time.time_ns() - now_ns()
    found: dict[tuple[str, str, str], Said] = {}
    for member in cluster.spec.members():
        for log, path in log_files(cluster, member.name).items():
            for at_ns, text in _telling(path, start_ns + wall_ns, end_ns + wall_ns):
                key = (member.name, log, _CHANGING.sub("#", text))
                first = found.get(key)
                times = 1 if first is None else first.times + 1
                kept = (at_ns - wall_ns, text) if first is None else (first.at_ns, first.text)
                found[key] = Said(kept[0], member.name, log, kept[1], times)
    return tuple(sorted(found.values(), key=lambda said: said.at_ns)[:SAID_MAX])


def _telling(path: Path, start_ns: int, end_ns: int) -> Iterator[tuple[int, str]]:
    """Yield (wall time in ns, text) of the telling lines of a log between two wall times."""
    try:
        lines = end_of(path).decode(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        moment = _moment(line, end_ns)
        if moment is None or not start_ns <= moment[0] <= end_ns or not _TELLING.search(moment[1]):
            continue
        yield moment[0], moment[1][:TEXT_CHARS_MAX]


def _moment(line: str, end_ns: int) -> tuple[int, str] | None:
    """Return the wall time of a line and what it says; None for one without a time. end_ns: the run's, for a date."""
    if line.startswith("{"):  # etcd's
        try:
            told = json.loads(line)
            at = datetime.fromisoformat(str(told["ts"]))
            text = f"{str(told['level']).upper()}: {told['msg']} {told.get('error', '')}".strip()
        except (ValueError, KeyError, TypeError):
            return None
    else:
        match = _LINE.match(line)
        if match is None:
            return None
        date = match["date"] or datetime.fromtimestamp(end_ns / NS_PER_S, UTC).date().isoformat()
        try:
            at = datetime.fromisoformat(f"{date}T{match['time'].replace(',', '.')}")
        except ValueError:
            return None
        text = match["text"]
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return int(at.timestamp() * NS_PER_S), text
