"""Jepsen's queue of Kafka: what each anomaly looks like, and what none is. Cases after jepsen.tests.kafka's own."""

from __future__ import annotations

import pytest

import outlast
from outlast.errors import HistoryError

ACKED = """
0 [:send x [0 a]]
0 [:send x [1 b]]
1 [:send y [7 c]]
"""
SEEN = "2 [:poll {x [[0 a] [1 b]], y [[7 c]]}]"


def history(text: str) -> str:
    """Return EDN of lines ``process [mop] …``: acknowledged, or, with ! (failed), ? (unknown) before, not."""
    events = []
    for line in filter(None, map(str.strip, text.splitlines())):
        process, mops = line.split(maxsplit=1)
        kind = {"!": "fail", "?": "info"}.get(mops[0], "ok")
        f, value = "txn", f"[{mops.lstrip('!?')}]"
        for other in ("assign", "subscribe"):
            if mops.startswith(other):
                f, value = other, mops.removeprefix(other)
        for type in ("invoke", kind):
            events.append(f"{{:type :{type} :f :{f} :process {process} :value {value}}}")
    return "\n".join(events)


def anomalies(text: str, model: str = "kafka") -> dict[str, int]:
    checked = outlast.check(history(text), "jepsen-edn", model)
    (finding,) = checked.checks
    assert all(piece.ops for piece in finding.evidence)
    return dict(finding.anomalies)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (ACKED + SEEN, {}),
        (ACKED + "2 [:poll {x [[0 a]]}]\n2 [:poll {x [[1 b]], y [[7 c]]}]", {}),
        ("0 [:send x [0 a]]\n0 [:send x [5 b]]\n1 [:poll {x [[0 a] [5 b]]}]", {}),  # offsets have gaps
        ("0 ?[:send x a]\n0 ![:send x b]", {}),
        ("0 ?[:send x a]\n1 [:poll {x [[0 a]]}]", {}),
        ("0 ![:send x a]\n0 [:send x [0 a]]\n0 ![:send x a]\n1 [:poll {x [[0 a]]}]", {}),
        (ACKED, {"unseen": 3}),
        (ACKED + "2 [:poll {x [[1 b]], y [[7 c]]}]", {"lost-write": 1}),
        ("0 [:send x [0 a]]\n1 [:send x [0 b]]\n2 [:poll {x [[0 b]]}]", {"inconsistent-offsets": 1, "lost-write": 1}),
        ("0 [:send x [0 a]]\n2 [:poll {x [[0 a] [1 a]]}]", {"duplicate": 1, "int-nonmonotonic-poll": 1}),
        ("0 ![:send x a]\n1 [:poll {x [[0 a]]}]", {"G1a": 1}),
        ("1 [:poll {x [[0 a]]}]", {"garbage-read": 1}),
        ("0 [:send x [0 a]] [:poll {x [[0 a]]}]", {"precommitted-read": 1}),
        (ACKED + SEEN + "\n3 [:poll {x [[1 b] [0 a]]}]", {"int-nonmonotonic-poll": 1}),
        (ACKED + "0 [:send x [2 d]]\n2 [:poll {x [[0 a] [1 b] [2 d]], y [[7 c]]}]\n3 [:poll {x [[0 a] [2 d]]}]",
         {"int-poll-skip": 1}),
        (ACKED + "0 [:send x [2 d]]\n2 [:poll {x [[0 a] [1 b] [2 d]], y [[7 c]]}]\n"
         "3 [:poll {x [[0 a]]}]\n3 [:poll {x [[2 d]]}]", {"poll-skip": 1}),
        (ACKED + SEEN + "\n2 [:poll {x [[0 a]]}]", {"nonmonotonic-poll": 1}),
        (ACKED + SEEN + "\n2 assign [y]\n2 [:poll {x [[0 a]]}]", {}),
        (ACKED + SEEN + "\n2 assign [x]\n2 [:poll {x [[0 a]]}]", {"nonmonotonic-poll": 1}),
        ("0 [:send x [1 a]]\n0 [:send x [0 b]]\n1 [:poll {x [[0 b] [1 a]]}]", {"nonmonotonic-send": 1}),
        ("0 [:send x [1 a]] [:send x [0 b]]\n1 [:poll {x [[0 b] [1 a]]}]",
         {"int-nonmonotonic-send": 1}),
        ("1 [:poll {x [[0 a]]}]\n0 [:send x [0 a]]", {"G1c-realtime": 1}),
    ],
)  # fmt: skip
def test_each_anomaly_is_found_and_nothing_else(text: str, found: dict[str, int]) -> None:
    assert anomalies(text) == found


def test_a_queue_that_is_sent_to_and_polled_is_kafkas() -> None:
    event = "{{:type :{} :f :{} :process 0 :value [[:{}]]}}"
    said = [("invoke", "send", "send 1 5"), ("ok", "send", "send 1 [0 5]"), ("invoke", "poll", "poll"),
            ("ok", "poll", "poll {1 [[0 6]]}")]  # fmt: skip
    text = " ".join(event.format(*each) for each in said)
    assert [one.name for one in outlast.check(text, model="queue").checks] == ["kafka"]
    assert outlast.check(text, model="queue").verdict == "fail"


def test_transactions_that_poll_from_each_other_are_a_circle() -> None:
    assert anomalies("0 [:send x [0 a]] [:poll {y [[0 b]]}]\n1 [:send y [0 b]] [:poll {x [[0 a]]}]") == {
        "G1c": 1
    }


def test_consumers_that_subscribe_may_be_moved() -> None:
    text = ACKED + SEEN + "\n3 subscribe [x y]\n2 [:poll {x [[0 a]]}]"
    checked = outlast.check(history(text), "jepsen-edn", "kafka")
    assert checked.verdict == "pass"
    assert dict(checked.checks[0].anomalies) == {"nonmonotonic-poll": 1}
    ok = "{:type :ok :f :txn :process 2 :value [[:poll {x [[1 b] [0 a]]}]]"
    asked = "\n{:type :invoke :f :txn :process 2 :value [[:poll]]}\n"
    sound = history(ACKED + "1 [:poll {x [[0 a] [1 b]] y [[7 c]]}]") + asked
    assert outlast.check(f"{sound}{ok}}}", model="kafka").verdict == "fail"
    assert outlast.check(f"{sound}{ok} :rebalance-log [{{:keys [x]}}]}}", model="kafka").verdict == "pass"


@pytest.mark.parametrize("mop", ["[:send x]", "[:poll {x [[a b]]}]", "[:take x]", "3", "[:poll [1]]"])
def test_what_is_no_queue_is_refused(mop: str) -> None:
    with pytest.raises(HistoryError, match="op 0 is no txn of a queue of Kafka"):
        anomalies(f"0 {mop}")
