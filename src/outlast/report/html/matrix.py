"""A matrix as a page: for each drill, systems by profiles, every cell's outage beside its manager's own model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outlast.history.history import JSON
from outlast.report.html.compare import StoredRun, comparison_values
from outlast.report.html.page import clock_words, render
from outlast.report.json import Document


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One drill on one system with one profile. low, middle, high, model: percent of the widest; None without one.

    outage: in words; reason: why it was skipped or failed, "" otherwise.
    """

    profile: str
    verdict: str
    reason: str
    outage: str
    low: float | None
    middle: float | None
    high: float | None
    model: float | None
    model_words: str
    over: bool
    lost: JSON
    writers: JSON
    rejoin: str
    runs: JSON


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A system's cells, by profile."""

    system: str
    sync: str
    cells: tuple[MatrixCell, ...]


@dataclass(frozen=True, slots=True)
class MatrixBlock:
    """A drill's rows."""

    drill: str
    title: str
    rows: tuple[MatrixRow, ...]


def matrix_page(document: Document, runs: Sequence[StoredRun]) -> str:
    """Return a matrix's page. runs: those of its runs whose stores are still there; they are compared below."""
    cells = _documents(document["cells"])
    widest = max(
        [_number(_spread(one), "max") or 0 for one in cells] + [_model_s(one) or 0 for one in cells] + [1e-9]
    )
    drills = list(dict.fromkeys((str(one["drill"]), str(one["title"] or "")) for one in cells))
    blocks = []
    for drill, title in drills:
        mine = [one for one in cells if one["drill"] == drill]
        systems = list(dict.fromkeys((str(one["system"]), str(one["sync"])) for one in mine))
        rows = [
            MatrixRow(
                system,
                sync,
                tuple(_cell(one, widest) for one in mine if (one["system"], one["sync"]) == (system, sync)),
            )
            for system, sync in systems
        ]
        blocks.append(MatrixBlock(drill, title, tuple(rows)))
    return render(
        "matrix.html.j2",
        matrix=document,
        blocks=blocks,
        profiles=_strings(document["profiles"]),
        began=clock_words(str(document["started"])),
        missing=sum(len(_strings(one.get("stores"))) for one in cells) - len(runs),
        **(comparison_values(runs) if runs else {"runs": []}),
    )


def _cell(cell: Mapping[str, JSON], widest: float) -> MatrixCell:
    outage, rejoin, model_s = _spread(cell), cell.get("rejoin_s"), _model_s(cell)
    rejoin = rejoin if isinstance(rejoin, dict) else None

    def place(value: float | None) -> float | None:
        return None if value is None else round(value / widest * 100, 2)

    low, middle, high = (_number(outage, key) for key in ("min", "median", "max"))
    words = "" if middle is None else f"{middle:.3f} s"
    if low is not None and high is not None and low != high:
        words += f" ({low:.3f} – {high:.3f})"
    rejoined = _number(rejoin, "median")
    return MatrixCell(
        profile=str(cell["profile"]),
        verdict=str(cell["verdict"]),
        reason=str(cell["reason"] or ""),
        outage=words,
        low=place(low),
        middle=place(middle),
        high=place(high),
        model=place(model_s),
        model_words="" if model_s is None else f"{model_s:g} s",
        over=cell.get("within_model") is False,
        lost=cell.get("acked_lost"),
        writers=cell.get("two_writers_s"),
        rejoin="" if rejoined is None else f"{rejoined:.1f} s",
        runs=cell.get("runs"),
    )


def _spread(cell: Mapping[str, JSON]) -> Mapping[str, JSON] | None:
    outage = cell.get("outage_s")
    return outage if isinstance(outage, dict) else None


def _model_s(cell: Mapping[str, JSON]) -> float | None:
    model = cell.get("model")
    return _number(model if isinstance(model, dict) else None, "outage_s")


def _number(value: Mapping[str, JSON] | None, key: str) -> float | None:
    found = None if value is None else value.get(key)
    return float(found) if isinstance(found, int | float) else None


def _documents(value: JSON) -> list[Document]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _strings(value: JSON) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
