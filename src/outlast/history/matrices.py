"""The store of a matrix: its document alone, shaped as campaigns/matrix.py tells. Its runs have stores of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from outlast.errors import HistoryError
from outlast.files import write_atomic
from outlast.history.history import JSON

FILE: Final = "matrix.json"
FORMAT: Final = "outlast-matrix"
VERSION: Final = 1


def save_matrix(folder: Path, document: dict[str, JSON]) -> None:
    """Write a matrix's document below folder, whole or not at all. Raises HistoryError."""
    stored = {"format": FORMAT, "version": VERSION, "document": document}
    try:
        write_atomic(folder / FILE, json.dumps(stored, indent=1))
    except OSError as error:
        raise HistoryError(f"cannot store the matrix: {error}", file=str(folder)) from error


def load_matrix(folder: Path) -> dict[str, JSON]:
    """Return a stored matrix's document. Raises HistoryError for what is none."""
    path = folder / FILE
    try:
        stored: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HistoryError(f"cannot be read: {error}", file=str(path)) from error
    if not isinstance(stored, dict) or stored.get("format") != FORMAT or stored.get("version") != VERSION:
        raise HistoryError("is no matrix that this outlast reads", file=str(path))
    document = stored.get("document")
    if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
        raise HistoryError("is no matrix that this outlast reads", file=str(path))
    return document
