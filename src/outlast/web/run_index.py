"""Past runs, as the page lists them. A run's document is read once; runs do not change but by being judged again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from outlast.history.history import JSON
from outlast.hosts.state import runs_folder

SHOWN_MAX: Final = 60
RUN_FILE: Final = "run.json"


class RunIndex:
    """Summaries by name, remembered by their file's time."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, dict[str, JSON]]] = {}

    def newest(self) -> list[JSON]:
        """Return the newest runs' summaries, the newest first. Reads only files that are new."""
        folders = sorted((one for one in runs_folder().iterdir() if one.is_dir()), reverse=True)
        found: list[JSON] = []
        for folder in folders:
            summary = self._summary(folder)
            if summary is not None:
                found.append(summary)
            if len(found) == SHOWN_MAX:
                break
        return found

    @staticmethod
    def changed_at(folder: Path) -> float:
        """Return a number that is another when a run was added, or one of the newest was judged."""
        newest = sorted(folder.iterdir(), reverse=True)[:10]
        times = [0.0]
        for one in newest:
            try:
                times.append((one / RUN_FILE).stat().st_mtime)
            except OSError:
                continue
        return sum(times) + len(newest)

    def _summary(self, folder: Path) -> dict[str, JSON] | None:
        path = folder / RUN_FILE
        try:
            changed = path.stat().st_mtime_ns
            known = self._known.get(folder.name)
            if known is not None and known[0] == changed:
                return known[1]
            document = json.loads(path.read_text(encoding="utf-8"))["document"]
            summary = _summary(folder.name, document)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # still running, or no run of this version
        self._known[folder.name] = (changed, summary)
        return summary


def _summary(name: str, document: dict[str, Any]) -> dict[str, JSON]:
    values = {one["name"]: one.get("value") for one in document["findings"]}
    return {
        "run": name,
        "drill": document["name"],
        "system": document["system"],
        "profile": document["profile"],
        "sync": document["notes"].get("sync"),
        "verdict": document["verdict"],
        "started": document["started"],
        "outage_s": values.get("outage"),
        "acked_lost": values.get("lost_writes", values.get("restorable")),
        "two_writers_s": values.get("split_brain"),
    }
