"""A drill that is refused leaves no run behind."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from outlast.config import DrillSpec, WorkloadSpec
from outlast.errors import ConfigError
from outlast.run.drill import run_drill


async def test_a_refused_drill_leaves_no_run_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    drill = DrillSpec(
        name="none",
        title="None",
        workload={"no-such": WorkloadSpec(name="no-such")},  # type: ignore[arg-type]
        duration_s=1,
    )
    with pytest.raises(ConfigError, match="no workload no-such"):
        await run_drill(
            SimpleNamespace(spec=None),  # type: ignore[arg-type]
            drill,
            seed=1,
            folder=folder,
            replay="",
            say=lambda _words: None,
        )
    assert not folder.exists()
