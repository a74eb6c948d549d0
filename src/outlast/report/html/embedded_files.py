"""The data behind the page, embedded in it: the run document, its ops, its observations."""

from __future__ import annotations

import base64
import gzip
import io
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from pyarrow import csv

from outlast.checkers.writes import seconds_in
from outlast.history.history import History
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
    columns = {
        "op": pa.array(chosen),
        "client": pa.array(ops.process[chosen]),
        "invoked_ms": pa.array(np.round(times.start_s[chosen] * 1000, 3)),
        "took_ms": pa.array(np.round(times.latency_s[chosen] * 1000, 3), from_pandas=True),
        "outcome": _named(ops.outcome[chosen], _OUTCOMES),
        "node": _named(ops.node[chosen], ops.node_names),
        "timeline": pa.array(ops.timeline[chosen]),
        "fate": pa.array(fate),
        "f": _named(ops.f[chosen], ops.f_names),
        "key": pa.array(ops.key[chosen], mask=ops.key[chosen] == NONE),
        "value": pa.array(ops.value[chosen], mask=ops.value[chosen] == NONE),
        "lsn": pa.array(ops.lsn[chosen]),
        "error": _named(ops.error[chosen], tuple(" ".join(text.split()) for text in ops.error_names)),
    }
    if ops.payload is not None:
        columns["payload"] = pa.array(
            [(ops.payload[index] or "")[:PAYLOAD_CHARS_MAX] for index in chosen.tolist()], pa.string()
        )
    sink = io.BytesIO()
    csv.write_csv(pa.table(columns), sink, csv.WriteOptions(quoting_style="needed"))
    which = f"all {total:,} operations" if kept == total else (
        f"{kept:,} of {total:,} operations: those that did not succeed or were lost, those around faults, and evenly "
        f"spaced others; the store has all"
    )  # fmt: skip
    return embed("ops", "ops.csv", which, sink.getvalue())


def observations_file(history: History) -> EmbeddedFile:
    """Return the observations as CSV."""
    fields = list(asdict(history.observations[0])) if history.observations else []
    columns = {name: [getattr(one, name) for one in history.observations] for name in fields}
    if fields:
        columns["at_ns"] = [round(seconds_in(history, one.at_ns), 6) for one in history.observations]
        columns = {("at_s" if name == "at_ns" else name): values for name, values in columns.items()}
    sink = io.BytesIO()
    if columns:
        csv.write_csv(pa.table(columns), sink)
    about = f"{len(history.observations):,} observations of nodes and consensus store"
    return embed("observations", "observations.csv", about, sink.getvalue())


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


def _named(codes: np.ndarray[tuple[int], np.dtype[np.integer]], names: tuple[str, ...]) -> pa.Array:
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(names), pa.string())).dictionary_decode()
