"""A matrix as reports show it and as it is stored: cells, each a drill on a system with a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outlast.history.history import JSON
from outlast.report.run_report import ModelOutage, Number


@dataclass(frozen=True, slots=True)
class FigureRange:
    """A figure over the runs of a cell, seconds."""

    median: float
    min: float
    max: float
    values: tuple[float, ...]

    def to_document(self) -> dict[str, JSON]:
        """Return it as it is stored."""
        return {"median": self.median, "min": self.min, "max": self.max, "values": list(self.values)}


@dataclass(frozen=True, slots=True)
class CellFigures:
    """What the runs of a cell have measured. runs: how many ended. stores: one folder a run; else None without any."""

    runs: int = 0
    outage_s: FigureRange | None = None
    rejoin_s: FigureRange | None = None
    acked: int | None = None
    acked_lost: int | None = None
    two_writers_s: Number | None = None
    model: ModelOutage | None = None
    within_model: bool | None = None
    replay: str | None = None
    stores: tuple[str, ...] = ()

    def to_document(self) -> dict[str, JSON]:
        """Return it as it is stored."""
        return {
            "runs": self.runs,
            "outage_s": _or_none(self.outage_s),
            "rejoin_s": _or_none(self.rejoin_s),
            "acked": self.acked,
            "acked_lost": self.acked_lost,
            "two_writers_s": self.two_writers_s,
            "model": _or_none(self.model),
            "within_model": self.within_model,
            "replay": self.replay,
            "stores": list(self.stores),
        }


@dataclass(frozen=True, slots=True)
class CellReport:
    """One drill on one system with one profile. verdict: skipped, too. reason: why it was skipped or failed."""

    system: str
    profile: str
    drill: str
    title: str
    sync: str
    verdict: str
    reason: str | None
    figures: CellFigures

    def to_document(self) -> dict[str, JSON]:
        """Return it as it is stored."""
        return {
            "system": self.system,
            "profile": self.profile,
            "drill": self.drill,
            "title": self.title,
            "sync": self.sync,
            "verdict": self.verdict,
            "reason": self.reason,
            **self.figures.to_document(),
        }


@dataclass(frozen=True, slots=True)
class MatrixReport:
    """A matrix. complete: whether all cells are there. names: the drills'. runs: asked for a cell.

    drills: each run's document, which are stored beside the cells for whoever wants to look further.
    """

    matrix: str
    verdict: str
    complete: bool
    systems: tuple[str, ...]
    profiles: tuple[str, ...]
    names: tuple[str, ...]
    runs: int
    seed: int
    replay: str
    store: str
    started: str
    duration_s: float
    cells: tuple[CellReport, ...]
    drills: Sequence[Mapping[str, JSON]]

    def to_document(self) -> dict[str, JSON]:
        """Return it as ``outlast matrix --json`` prints it."""
        return {
            "matrix": self.matrix,
            "verdict": self.verdict,
            "complete": self.complete,
            "systems": list(self.systems),
            "profiles": list(self.profiles),
            "names": list(self.names),
            "runs": self.runs,
            "seed": self.seed,
            "replay": self.replay,
            "store": self.store,
            "started": self.started,
            "duration_s": self.duration_s,
            "cells": [cell.to_document() for cell in self.cells],
            "drills": [dict(run) for run in self.drills],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> MatrixReport:
        """Return a matrix as it was stored. Raises KeyError, TypeError for what is none."""
        listed = {key: tuple(document[key]) for key in ("systems", "profiles", "names")}
        cells = tuple(_cell(cell) for cell in document["cells"])
        return cls(**{**document, **listed, "cells": cells})


def _cell(document: Mapping[str, Any]) -> CellReport:
    own = {key: document[key] for key in ("system", "profile", "drill", "title", "sync", "verdict", "reason")}
    figures = {key: document[key] for key in CellFigures.__dataclass_fields__}
    for key in ("outage_s", "rejoin_s"):
        if figures[key] is not None:
            figures[key] = FigureRange(**{**figures[key], "values": tuple(figures[key]["values"])})
    if figures["model"] is not None:
        figures["model"] = ModelOutage(**figures["model"])
    return CellReport(**own, figures=CellFigures(**{**figures, "stores": tuple(figures["stores"])}))


def _or_none(value: FigureRange | ModelOutage | None) -> JSON:
    return None if value is None else value.to_document()
