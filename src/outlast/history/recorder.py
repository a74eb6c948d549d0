"""Records the ops of one worker process, cheaply and so that SIGKILL loses none of them.

An op costs two ``pack_into`` calls into mapped memory (see ``tail``) and its share of writing a batch to an
Arrow IPC stream, so memory stays bounded however long the run. What seldom changes (outcome, node,
timeline, error) is one small number, a *tag*, whose meaning is on disk before it is used.

    folder/names.jsonl   functions and tags
    folder/tail.bin      the newest ops
    folder/ops.arrow     all older ones, one batch a generation
"""

from __future__ import annotations

import json
import os
import struct
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Final

import nanoarrow as na
import numpy as np
from nanoarrow.ipc import StreamWriter

from outlast.errors import HarnessError, HistoryError
from outlast.history import arrow
from outlast.history.op import Outcome
from outlast.history.tail import (
    COMPLETION_AT,
    HALF_HEAP_BYTES,
    HALF_ROWS,
    NAMES_FILE,
    OPS_FILE,
    ROW_BYTES,
    TAIL_FILE,
    VALUE_AT,
    Rows,
    create_tail,
    pack_completion,
    pack_invocation,
    pack_key,
    pack_value,
)

ROW_COLUMNS: Final = ("client", "f", "key", "value", "invoke_ns", "complete_ns", "lsn", "tag")
COLUMNS: Final = ("process", *ROW_COLUMNS[1:])
SCHEMA: Final = na.c_schema(
    na.struct(
        {name: arrow.TYPES["int32" if name in ("process", "f", "tag") else "int64"] for name in COLUMNS}
        | {"payload": arrow.TEXT}
    )
)
ERROR_CHARS_MAX: Final = 200
TAGS_MAX: Final = 4096
_OPEN: Final = len(Outcome)


class Recorder:
    """The writer of one worker's recording; one op open at a time for each of its clients.

    folder: made here, must not exist. clients: how many; client i is process first_process + i in the
    history. Reserves 4 MiB of disk at once. Raises HistoryError naming the folder.
    """

    __slots__ = (
        "_completions",
        "_failed",
        "_functions",
        "_half",
        "_names_fd",
        "_open_rows",
        "_outcomes",
        "_row",
        "_sink",
        "_table",
        "_tags",
        "_tail",
        "_values",
        "_writer",
        "folder",
    )

    _row: int

    def __init__(
        self,
        folder: Path,
        *,
        clients: int,
        first_process: int = 0,
        half_rows: int = HALF_ROWS,
        heap_bytes: int = HALF_HEAP_BYTES,
    ) -> None:
        if half_rows <= clients:
            raise HarnessError(f"a half of {half_rows} rows cannot hold {clients} open ops")
        self.folder = folder
        try:
            folder.mkdir(parents=True)
            self._names_fd = os.open(
                folder / NAMES_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
            )
            self._tail = create_tail(folder / TAIL_FILE, half_rows, heap_bytes, first_process)
            self._sink = (folder / OPS_FILE).open("wb")
            self._writer = StreamWriter.from_writable(self._sink)
        except OSError as error:
            raise HistoryError(f"cannot record there: {error.strerror or error}", file=str(folder)) from error
        self._functions: dict[str, int] = {}
        self._tags: dict[tuple[int, str, int, str], int] = {}
        self._outcomes: list[int] = [_OPEN]
        self._open_rows = [-1] * clients
        self._failed = False
        self._write_to(0, row=0)

    def function(self, name: str) -> int:
        """Return the code of a function name, to be given to ``invoke``."""
        code = self._functions.get(name)
        if code is None:
            code = len(self._functions)
            self._note({"f": name})
            self._functions[name] = code
        return code

    def tag(self, outcome: Outcome, node: str = "", timeline: int = 0, error: str = "") -> int:
        """Return the code of one way to complete, to be given to ``complete``.

        node, timeline: who answered; "" and 0 when unknown. error: cut after ERROR_CHARS_MAX characters; once
        there are TAGS_MAX tags a new error is recorded as "other error", so that memory stays bounded.
        """
        known = (int(outcome), node, timeline, error[:ERROR_CHARS_MAX])
        code = self._tags.get(known)
        if code is None:
            if len(self._tags) >= TAGS_MAX and error not in ("", "other error"):
                return self.tag(outcome, node, timeline, "other error")
            code = len(self._outcomes)
            self._note({"tag": [*known]})
            self._outcomes.append(int(outcome))
            self._tags[known] = code
        return code

    def _note(self, line: dict[str, str | list[int | str]]) -> None:
        try:
            os.write(self._names_fd, (json.dumps(line) + "\n").encode())
        except OSError as error:
            raise HistoryError(f"cannot be written: {error}", file=str(self.folder / NAMES_FILE)) from error

    def invoke(self, client: int, f: int, value: int, at_ns: int, key: int | None = None) -> None:
        """Record that client (0 … clients − 1) is about to send an op. at_ns: monotonic, above 0."""
        row = self._row
        try:
            if key is not None:
                pack_key(self._table, row, key)
            pack_invocation(self._values, row, value, client, f, at_ns)
        except struct.error:  # past the last row; this way the check costs nothing while there is room
            if row < len(self._table):
                raise
            self._seal()
            self.invoke(client, f, value, at_ns, key)
            return
        self._open_rows[client] = row
        self._row = row + ROW_BYTES

    def complete(self, client: int, tag: int, lsn: int, at_ns: int) -> None:
        """Record that the client's open op ended: tag says how; an lsn of 0 is unknown."""
        pack_completion(self._completions, self._open_rows[client], lsn, at_ns, tag)

    def answer(self, client: int, value: int) -> None:
        """Give the client's open op the integer that it read, before it is completed."""
        pack_value(self._values, self._open_rows[client], value)

    def attach(self, client: int, payload: str) -> None:
        """Give the client's open op a payload (JSON text), in place of any earlier one.

        Raises HarnessError when the text is larger than a heap.
        """
        text = payload.encode()
        if self._attach(client, text):
            return
        self._seal()
        if not self._attach(client, text):
            raise HarnessError(f"a payload of {len(text)} bytes does not fit the recorder's heap")

    def _attach(self, client: int, text: bytes) -> bool:
        return self._tail.halves[self._half].attach(self._open_rows[client] // ROW_BYTES, text)

    def close(self) -> None:
        """Seal everything that has completed and close the files. Ops still open stay so for ever."""
        if not self._failed:
            self._seal()
            self._writer.close()
        with suppress(OSError) if self._failed else nullcontext():  # it tries to write that batch again
            self._sink.close()
        os.close(self._names_fd)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_to(self, half: int, *, row: int) -> None:
        table = self._tail.halves[half].rows.view(np.uint8).data
        self._half = half
        self._table, self._values, self._completions = table, table[VALUE_AT:], table[COMPLETION_AT:]
        self._row = row

    def _seal(self) -> None:
        """Carry open ops over to the other half, go on there, and write the completed ones as a batch.

        The order matters: at each point in between, the rules in ``tail`` name every op once.
        """
        full, fresh = self._tail.halves[self._half], self._tail.halves[1 - self._half]
        used = full.rows[: self._row // ROW_BYTES]
        payloads = full.payloads()
        open_rows = np.flatnonzero(used["tag"] == 0)
        fresh.clear()
        fresh.rows[: len(open_rows)] = used[open_rows]
        for new_row, old_row in enumerate(open_rows.tolist()):
            self._open_rows[int(used["client"][old_row])] = new_row * ROW_BYTES
            if old_row in payloads:
                fresh.attach(new_row, payloads[old_row])
        generation = int(full.state[0])
        fresh.state[0] = generation + 1
        self._write_to(1 - self._half, row=len(open_rows) * ROW_BYTES)
        self._write_batch(used, payloads)
        self._count(used, generation)

    def _write_batch(self, used: Rows, payloads: dict[int, bytes]) -> None:
        rows = np.flatnonzero(used["tag"])
        columns = {name: used[name][rows] for name in ROW_COLUMNS}
        process = columns.pop("client") + self._tail.first_process
        arrays = [arrow.numbers(column) for column in (process.astype(np.int32), *columns.values())]
        texts = (payloads.get(row) for row in rows.tolist())
        arrays.append(arrow.texts(texts) if payloads else arrow.null_texts(len(rows)))
        try:
            self._writer.write_array(na.c_array_from_buffers(SCHEMA, len(rows), [None], children=arrays))
            self._sink.flush()
        except (OSError, RuntimeError) as error:  # nanoarrow's are RuntimeErrors, also for a full disk
            # No batch may follow one that is missing, since its place is its generation; both halves stay
            # whole.
            self._failed = True
            raise HistoryError(f"cannot be written: {error}", file=str(self.folder / OPS_FILE)) from error

    def _count(self, used: Rows, generation: int) -> None:
        """Add the sealed ops to the totals for ``live_counts``."""
        outcome = np.array(self._outcomes, dtype=np.int64)[used["tag"]]
        acks = used["complete_ns"][outcome == Outcome.OK]
        by_outcome = np.bincount(outcome, minlength=_OPEN + 1)[:_OPEN]
        self._tail.seal(generation, by_outcome, int(acks.max(initial=0)))
