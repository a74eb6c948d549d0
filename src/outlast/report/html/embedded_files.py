"""The data behind the page, embedded in it: the run document, its ops, its observations."""

from __future__ import annotations

import base64
import csv
import gzip
import io
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from arro3.core import Array
from arro3.io import write_csv
from nanoarrow.c_array import CArray

from outlast.checkers.writes import seconds_in
from outlast.history import arrow
from outlast.history.history import History, NodeObservation
from outlast.history.op import I64, NONE, Outcome
from outlast.report.html.series import OpTimes

OPS_MAX: Final = 120_000
"""Ops that a page holds at most, so that a million of them can still be mailed; the store has all."""

NEAR_S: Final = 1.0
PAYLOAD_CHARS_MAX: Final = 2_000
_OUTCOMES: Final = ("ok", "fail", "info", "local")


@dataclass(frozen=True, slots=True)
class EmbeddedFile:
    """A file inside the page. data: gzip, then base64."""

    ident: str
    file_name: str
    about: str
    data: str
    bytes: int


def embed(ident: str, file_name: str, about: str, content: bytes) -> EmbeddedFile:
    """Return a file, compressed for embedding."""
    squeezed = gzip.compress(content, compresslevel=6, mtime=0)
    return EmbeddedFile(ident, file_name, about, base64.b64encode(squeezed).decode(), len(content))


def ops_file(history: History, times: OpTimes, moments_s: list[float]) -> EmbeddedFile:
    """Return ops as CSV: all, or when they are too many, those that matter and evenly spaced others.

    moments_s: around which every op is kept. O(n).
    """
    chosen = _chosen(times, moments_s)
    ops = history.ops
    total, kept = len(ops), len(chosen)
    fate = np.where(times.lost[chosen], "lost", "")
    key, value = ops.key[chosen], ops.value[chosen]
    took_ms = np.round(times.latency_s[chosen] * 1000, 3)
    columns: dict[str, CArray | Array] = {
        "op": arrow.numbers(chosen),
        "client": arrow.numbers(ops.process[chosen]),
        "invoked_ms": arrow.numbers(np.round(times.start_s[chosen] * 1000, 3)),
        "took_ms": arrow.numbers(took_ms, np.isnan(took_ms)),
        "outcome": _named(ops.outcome[chosen], _OUTCOMES),
        "node": _named(ops.node[chosen], ops.node_names),
        "timeline": arrow.numbers(ops.timeline[chosen]),
        "fate": arrow.texts(fate.tolist()),
        "f": _named(ops.f[chosen], ops.f_names),
        "key": arrow.numbers(key, key == NONE),
        "value": arrow.numbers(value, value == NONE),
        "lsn": arrow.numbers(ops.lsn[chosen]),
        "error": _named(ops.error[chosen], tuple(" ".join(text.split()) for text in ops.error_names)),
    }
    if ops.payload is not None:
        columns["payload"] = arrow.texts(
            (ops.payload[index] or "")[:PAYLOAD_CHARS_MAX] for index in chosen.tolist()
        )
    sink = io.BytesIO()
    write_csv(arrow.record_batch(columns), sink)
    which = f"all {total:,} operations" if kept == total else (
        f"{kept:,} of {total:,} operations: those that did not succeed or were lost, those around faults, and evenly "
        f"spaced others; the store has all"
    )  # fmt: skip
    return embed("ops", "ops.csv", which, sink.getvalue())


def observations_file(history: History) -> EmbeddedFile:
    """Return the observations as CSV."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    if history.observations:
        names = [field.name for field in fields(NodeObservation)]
        writer.writerow("at_s" if name == "at_ns" else name for name in names)
        for observation in history.observations:
            values = {name: getattr(observation, name) for name in names}
            writer.writerow((values | {"at_ns": round(seconds_in(history, observation.at_ns), 6)}).values())
    about = f"{len(history.observations):,} observations of nodes and consensus store"
    return embed("observations", "observations.csv", about, lines.getvalue().encode())


def _chosen(times: OpTimes, moments_s: list[float]) -> I64:
    total = len(times.outcome)
    if total <= OPS_MAX:
        return np.arange(total, dtype=np.int64)
    wanted = times.lost | (times.outcome == int(Outcome.LOCAL)) | (times.outcome == int(Outcome.INFO))
    near = np.zeros(total, dtype=np.bool_)
    for at_s in moments_s[:50]:
        near |= (times.end_s > at_s - NEAR_S) & (times.start_s < at_s + NEAR_S)
    chosen = np.zeros(total, dtype=np.bool_)
    for rank in (wanted, near, times.outcome == int(Outcome.FAIL), np.ones(total, dtype=np.bool_)):
        room = OPS_MAX - int(chosen.sum())
        more = np.flatnonzero(rank & ~chosen)
        if len(more) > room:
            chosen[more[np.linspace(0, len(more) - 1, max(0, room)).astype(np.int64)]] = True
            break
        chosen[more] = True
    return np.flatnonzero(chosen)


def _named(codes: np.ndarray[tuple[int], np.dtype[np.integer]], names: tuple[str, ...]) -> CArray:
    return arrow.texts(names[code] if code >= 0 else None for code in codes.tolist())
