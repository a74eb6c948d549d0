"""The exporter's file of alerts: one line for each that Alertmanager told it of, fired or resolved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ALERTS_FILE: Final = "alerts.jsonl"


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """What the receiver was told: at_ns monotonic, firing or resolved, and the alert's labels and annotations."""

    at_ns: int
    is_firing: bool
    labels: tuple[tuple[str, str], ...]
    annotations: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The alert's name."""
        return dict(self.labels).get("alertname", "")


class AlertLog:
    """The receiver's file, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def events(self) -> list[AlertEvent]:
        """Return all events so far; a line that is being written is left for later."""
        try:
            lines = self._path.read_text().splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            try:
                raw = json.loads(line)
                labels, annotations = _pairs(raw["labels"]), _pairs(raw["annotations"])
                found.append(AlertEvent(int(raw["at_ns"]), raw["status"] == "firing", labels, annotations))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        return found

    def firing(self) -> list[str]:
        """Return the names of the alerts that fire now."""
        last = {event.labels: event for event in self.events()}
        return sorted({event.name for event in last.values() if event.is_firing})


def _pairs(raw: dict[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, str(value)) for key, value in raw.items()))
