"""What two small libraries make of Arrow is what pyarrow makes of it, nulls and names included."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import ipc

from outlast.errors import HistoryError
from outlast.history import arrow
from outlast.history.op import NEVER, NONE, Outcome
from outlast.history.ops_file import load_ops, write_ops
from outlast.history.reading import read_ops
from outlast.history.recorder import Recorder
from outlast.history.tail import OPS_FILE
from outlast.testing.simulated_history import serial_history


def test_pyarrow_reads_a_stored_history(tmp_path: Path) -> None:
    ops = serial_history(500, lists=True)
    write_ops(tmp_path / "ops.arrow", ops)
    with pa.memory_map(str(tmp_path / "ops.arrow")) as source, ipc.open_file(source) as reader:
        table = reader.read_all()
    assert table.column("f").to_pylist() == [ops.f_names[code] for code in ops.f.tolist()]
    assert table.column("payload").to_pylist() == ops.payload
    assert table.column("value").to_pylist() == [None if v == NONE else v for v in ops.value.tolist()]
    assert table.column("complete_ns").to_pylist() == [
        None if t == NEVER else t for t in ops.complete_ns.tolist()
    ]
    assert table.column("outcome").to_pylist() == ops.outcome.tolist()


@pytest.mark.parametrize("compression", ["zstd", None])
def test_a_history_that_pyarrow_has_written_is_read(tmp_path: Path, compression: str | None) -> None:
    ops = serial_history(500, lists=True)
    write_ops(tmp_path / "ops.arrow", ops)
    with pa.memory_map(str(tmp_path / "ops.arrow")) as source, ipc.open_file(source) as reader:
        table = reader.read_all()
    options = ipc.IpcWriteOptions(compression=compression)
    with ipc.new_file(str(tmp_path / "again.arrow"), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=100)
    again = load_ops(tmp_path / "again.arrow")
    for name in ("process", "f", "key", "value", "invoke_ns", "complete_ns", "outcome", "node", "error"):
        assert np.array_equal(getattr(again, name), getattr(ops, name)), name
    assert again.payload == ops.payload
    assert (again.f_names, again.node_names, again.error_names) == (
        ops.f_names,
        ops.node_names,
        ops.error_names,
    )


def test_pyarrow_reads_a_recording(tmp_path: Path) -> None:
    with Recorder(tmp_path / "w0", clients=1, half_rows=64) as recorder:
        f, ok = recorder.function("append"), recorder.tag(Outcome.OK)
        for i in range(200):
            recorder.invoke(0, f, i, 1000 + i)
            if i % 3 == 0:
                recorder.attach(0, f"ä{i}")
            recorder.complete(0, ok, 0, 1000 + i)
    with pa.memory_map(str(tmp_path / "w0" / OPS_FILE)) as source, ipc.open_stream(source) as stream:
        table = stream.read_all()
    assert table.column("value").to_pylist() == list(range(200))
    assert table.column("payload").to_pylist() == [None if i % 3 else f"ä{i}" for i in range(200)]
    assert read_ops(tmp_path).payload == table.column("payload").to_pylist()


def test_names_that_no_op_has_are_kept_in_order() -> None:
    column = arrow.labels(np.array([2, -1, 0], dtype=np.int16), ("a", "b", "c"))
    assert pa.array(column).to_pylist() == ["c", None, "a"]
    assert pa.array(column).dictionary.to_pylist() == ["a", "b", "c"]


def test_a_file_that_is_no_history_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ops.arrow"
    for content in (b"", b"ARROW1\0\0 and no more"):
        path.write_bytes(content)
        with pytest.raises(HistoryError, match=r"ops\.arrow: cannot be read"):
            load_ops(path)
