"""The verdicts of others on their own histories. The samples are read from outside: $OUTLAST_SAMPLES, or
shared/samples beside the repository or above it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from skips import cannot_mark

from outlast.checkers.judge import judge
from outlast.clock import deadline_ns
from outlast.history.formats import read_history


def _samples() -> Path | None:
    if "OUTLAST_SAMPLES" in os.environ:
        return Path(os.environ["OUTLAST_SAMPLES"])
    places = (parent / "shared/samples" for parent in Path(__file__).resolve().parents)
    return next((place for place in places if place.is_dir()), None)


SAMPLES = _samples()
pytestmark = cannot_mark(SAMPLES is None, "no shared/samples here; set OUTLAST_SAMPLES")

ETCD = {"000": "fail", "001": "fail", "002": "pass", "003": "fail", "005": "pass", "007": "pass"}
CASES = [
    *((f"porcupine/etcd_{number}.log", "porcupine-etcd", "cas-register", v) for number, v in ETCD.items()),
    ("porcupine/c01-bad.txt", "porcupine-kv", "kv", "fail"),
    ("porcupine/c01-ok.txt", "porcupine-kv", "kv", "pass"),
    ("porcupine/c10-ok.txt", "porcupine-kv", "kv", "pass"),
    ("knossos/bad-bad-analysis.edn", "jepsen-edn", "cas-register", "fail"),
    ("knossos/bad-cas-failure.edn", "jepsen-edn", "cas-register", "fail"),
    ("knossos/good-cas-register-bug.edn", "jepsen-edn", "cas-register", "pass"),
    ("knossos/good-memstress3-0.edn", "jepsen-edn", "cas-register", "pass"),
]


@pytest.mark.parametrize(("name", "format", "model", "verdict"), CASES)
def test_verdict_is_that_of_its_authors(name: str, format: str, model: str, verdict: str) -> None:
    assert SAMPLES is not None
    history = read_history(SAMPLES / name, format)
    (finding,) = judge(history, model, deadline=deadline_ns(30))
    assert finding.verdict == verdict, finding.summary
    assert finding.anomalies == ({} if verdict == "pass" else {"not-linearizable": 1})


def test_elles_paper_example_is_one_g_single_of_three_transactions() -> None:
    assert SAMPLES is not None
    history = read_history(SAMPLES / "elle/paper-example.edn", "jepsen-edn")
    (finding,) = judge(history, "list-append", deadline=deadline_ns(30))
    assert finding.anomalies == {"G-single": 1}
    assert finding.evidence[0].ops == (3, 1, 2)
    assert finding.evidence[-1].details["strongest"] == ["strong-session-read-committed"]
    (weaker,) = judge(history, "list-append", "read-committed", deadline=deadline_ns(30))
    assert weaker.verdict == "pass"
