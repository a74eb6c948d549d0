"""The store of one run: everything that is needed to judge and report it again, years later.

    run.json       the run document: what was asked for, what was done to the cluster, what was found
    ops.arrow      every client op (written once the load is over; until then ``ops/`` holds the recordings)
    restored.npz   the same of a server that was restored, where one was
    final.npz      what each workload's table held at the end, int64 by workload
    logs/          the end of each node's logs, for a person

``run.json`` is written last and by rename, so a store that has one is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np

from outlast.errors import HistoryError
from outlast.files import atomic_path, write_atomic
from outlast.history.history import (
    JSON,
    FaultRecord,
    FinalRead,
    History,
    NodeContent,
    NodeObservation,
    RestoredRead,
    Said,
)
from outlast.history.lateness import Lateness
from outlast.history.op import I64, Ops
from outlast.history.ops_file import load_ops, write_ops
from outlast.history.reading import read_ops

FORMAT_VERSION: Final = 1
RECORDINGS: Final = "ops"
_RUN_FILE: Final = "run.json"
_OPS_FILE: Final = "ops.arrow"
_FINAL_FILE: Final = "final.npz"
_RESTORED_FILE: Final = "restored.npz"


@dataclass(frozen=True, slots=True)
class RunDocument:
    """What a run was and what it found, beside its history.

    replay: the command that repeats the run. started: wall time as ``clock.timestamp`` prints it. cluster,
    drill: the spec documents as they were resolved. versions: of outlast and of the programs under test,
    by name. plan: the timeline as it was decided from the seed. findings: one JSON object a check, as a
    report writes it. notes: further figures of the runner that reports show.
    """

    name: str
    system: str
    profile: str
    seed: int
    replay: str
    started: str
    verdict: str = ""
    cluster: Mapping[str, JSON] = field(default_factory=dict)
    drill: Mapping[str, JSON] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    plan: tuple[Mapping[str, JSON], ...] = ()
    findings: tuple[Mapping[str, JSON], ...] = ()
    notes: Mapping[str, JSON] = field(default_factory=dict)


def save_run(folder: Path, history: History, document: RunDocument) -> None:
    """Write a run to its folder, made if need be; a run saved there before is replaced.

    The ops go to one file and the recordings they came from (``ops/``) are removed once that is on disk.
    Raises HistoryError naming what cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_ops(folder / _OPS_FILE, history.ops)
        if history.final is not None:
            _write_values(folder / _FINAL_FILE, _all_values(history.final))
        else:
            (folder / _FINAL_FILE).unlink(missing_ok=True)
        if history.restored is not None:
            _write_values(folder / _RESTORED_FILE, history.restored.values)
        else:
            (folder / _RESTORED_FILE).unlink(missing_ok=True)
        _write_json(folder / _RUN_FILE, _to_json(history, document))
        shutil.rmtree(folder / RECORDINGS, ignore_errors=True)
    except OSError as error:
        raise HistoryError(f"cannot store the run: {error}", file=str(folder)) from error


def is_stored(folder: Path) -> bool:
    """Whether a folder holds a whole store."""
    return (folder / _RUN_FILE).is_file()


def save_document(folder: Path, document: RunDocument) -> None:
    """Replace the document of a stored run and leave its history as it is (a check that was run again)."""
    run = _read_json(folder / _RUN_FILE)
    run["document"] = _plain(document)
    _write_json(folder / _RUN_FILE, run)


def load_run(folder: Path) -> tuple[History, RunDocument]:
    """Return the history and the document of a stored run. Raises HistoryError naming the file at fault."""
    path = folder / _RUN_FILE
    run = _read_json(path)
    try:
        final = _final(run["final"], _read_values(folder / _FINAL_FILE)) if run["final"] else None
        history = History(
            ops=_load_any_ops(folder),
            faults=tuple(
                FaultRecord(**{**fault, "targets": tuple(fault["targets"])}) for fault in run["faults"]
            ),
            observations=tuple(NodeObservation(*row) for row in run["observations"]),
            final=final,
            start_ns=run["start_ns"],
            end_ns=run["end_ns"],
            complete=run["complete"],
            restored=_restored(run.get("restored"), folder / _RESTORED_FILE),
            lateness=_lateness(run.get("lateness")),  # runs of older versions have none
            said=tuple(Said(**one) for one in run.get("said", ())),
        )
        document = run["document"]
        return history, RunDocument(
            **{**document, "plan": tuple(document["plan"]), "findings": tuple(document["findings"])}
        )
    except (KeyError, TypeError, ValueError) as error:
        raise HistoryError(f"is no run document: {type(error).__name__}: {error}", file=str(path)) from error


def _load_any_ops(folder: Path) -> Ops:
    stored = folder / _OPS_FILE
    return load_ops(stored) if stored.exists() else read_ops(folder / RECORDINGS)


def _to_json(history: History, document: RunDocument) -> dict[str, Any]:
    final, restored = history.final, history.restored
    return {
        "format": "outlast-run",
        "version": FORMAT_VERSION,
        "document": _plain(document),
        "start_ns": history.start_ns,
        "end_ns": history.end_ns,
        "complete": history.complete,
        "faults": [_plain(fault) for fault in history.faults],
        "observations": [list(_plain(observation).values()) for observation in history.observations],
        "final": None
        if final is None
        else _plain(final)
        | {
            "values": sorted(final.values),
            "contents": [_plain(c) for c in final.contents],
            "strays": {node: sorted(values) for node, values in final.strays.items()},
        },
        "lateness": None if history.lateness is None else _plain(history.lateness),
        "said": [_plain(one) for one in history.said],
        "restored": None if restored is None else _plain(restored) | {"values": sorted(restored.values)},
    }


def _plain(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields by name; tuples become lists and mappings dicts when JSON writes them."""
    fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
    return {name: dict(item) if isinstance(item, Mapping) else item for name, item in fields.items()}


def _all_values(final: FinalRead) -> dict[str, I64]:
    """Return the arrays of a final read by name; those of a stray node as ``node/workload``."""
    strays = {
        f"{node}/{name}": array for node, values in final.strays.items() for name, array in values.items()
    }
    return {**final.values, **strays}


def _final(stored: dict[str, Any], values: dict[str, I64]) -> FinalRead:
    missing = [name for name in stored["values"] if name not in values]
    if missing:
        raise ValueError(f"{_FINAL_FILE} lacks the values of {', '.join(missing)}")
    return FinalRead(
        **{
            **stored,
            "values": {name: values[name] for name in stored["values"]},
            "contents": tuple(NodeContent(**content) for content in stored["contents"]),
            "missing": tuple(stored["missing"]),
            "removed": tuple(stored.get("removed", ())),
            "strays": {
                node: {name: values[f"{node}/{name}"] for name in names}
                for node, names in stored.get("strays", {}).items()
            },
            "timeline_starts": tuple((start[0], start[1]) for start in stored["timeline_starts"]),
        }
    )


def _lateness(stored: dict[str, Any] | None) -> Lateness | None:
    if stored is None:
        return None
    samples = tuple((at_ns, wanted_s, stolen_s) for at_ns, wanted_s, stolen_s in stored["samples"])
    lags = tuple((at_ns, lag_s) for at_ns, lag_s in stored["lags"])
    return Lateness(**{**stored, "samples": samples, "lags": lags})


def _restored(stored: dict[str, Any] | None, path: Path) -> RestoredRead | None:
    if stored is None:
        return None
    values = _read_values(path)
    return RestoredRead(**{**stored, "values": {name: values[name] for name in stored["values"]}})


def _write_values(path: Path, values: Mapping[str, I64]) -> None:
    with atomic_path(path) as new, new.open("wb") as file:
        np.savez(file, **values)  # type: ignore[arg-type]  # numpy types its own allow_pickle into the **kwds


def _read_values(path: Path) -> dict[str, I64]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name].astype(np.int64) for name in stored.files}
    except (OSError, EOFError, ValueError, BadZipFile) as error:
        raise HistoryError(f"cannot be read as a final read: {error}", file=str(path)) from error


def _write_json(path: Path, value: dict[str, Any]) -> None:
    write_atomic(path, json.dumps(value, indent=1), synced=True)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HistoryError(
            "no such file", file=str(path), hint="a run that was stopped before its end has no run document"
        ) from None
    except (OSError, ValueError) as error:
        raise HistoryError(f"cannot be read: {error}", file=str(path)) from error
    if not isinstance(run, dict) or run.get("format") != "outlast-run":
        raise HistoryError("is no run document", file=str(path))
    if run.get("version") != FORMAT_VERSION:
        raise HistoryError(
            f"has version {run.get('version')}, this outlast reads {FORMAT_VERSION}", file=str(path)
        )
    return run
