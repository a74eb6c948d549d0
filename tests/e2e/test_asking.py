"""A cluster that a person was asked for comes up, and its file is kept."""

from __future__ import annotations

import json
from pathlib import Path

from program import outlast
from terminal import Talk


def test_the_answers_come_up_as_a_lab(tmp_path: Path) -> None:
    kept = tmp_path / "one.yaml"
    talk = Talk("up", "etcd", "-i", "--json")
    talk.answers(
        [
            ("System", ""),
            ("Nodes", "1"),
            ("Commits", ""),
            ("Timing", "fast"),
            ("Prometheus", "n"),
            ("Published", "free"),
            ("Name of the lab", "asked"),
            ("Keep this", str(kept)),
            ("Bring it up", "y"),
        ]
    )
    code, out = talk.end()
    try:
        assert code == 0, talk.said
        up = json.loads(out)
        assert (up["lab"], up["system"], len(up["nodes"])) == ("asked", "etcd", 1)
        assert outlast("status", "--lab", "asked", "--json").json["profile"] == "fast"
        assert outlast("validate", str(kept)).code == 0
    finally:
        assert outlast("down", "--all", "--json").json["residue"] == []
