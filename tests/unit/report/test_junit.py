"""JUnit output: what a CI server reads of a run."""

from __future__ import annotations

from xml.etree import ElementTree as xml

from reports import run_of

from outlast.checkers.base import Evidence, Verdict
from outlast.report.findings import CheckResult
from outlast.report.junit import EVIDENCE_MAX, junit
from outlast.report.run_report import RunReport


def check(name: str, verdict: str, *messages: str) -> CheckResult:
    evidence = tuple(Evidence(message) for message in messages)
    return CheckResult(name, Verdict(verdict), f"{name} says {verdict}", evidence=evidence, elapsed_s=0.25)


def run(verdict: str, *checks: CheckResult) -> RunReport:
    return run_of("power-off", verdict, *checks, title="Cut the power", duration_s=12.5, acked_lost=1)


def test_each_check_and_each_drill_is_a_case_and_only_pass_is_clean() -> None:
    root = xml.fromstring(
        junit([
            run("fail", check("lost_writes", "fail", "write 3 on node-1 is lost"), check("outage", "pass"),
                check("fault_effects", "invalid"), check("replicas_equal", "unknown")),
            run("pass", check("outage", "pass")),
        ]).encode()
    )  # fmt: skip
    assert root.tag == "testsuites"
    first, second = root.findall("testsuite")
    assert (first.get("tests"), first.get("failures"), first.get("errors")) == ("5", "2", "2")
    assert (second.get("tests"), second.get("failures"), second.get("errors")) == ("2", "0", "0")
    cases = {case.get("name"): case for case in first.findall("testcase")}
    failure = cases["lost_writes"].find("failure")
    assert failure is not None and failure.get("message") == "lost_writes says fail"
    assert "write 3 on node-1 is lost" in (failure.text or "")
    assert list(cases["outage"]) == []
    assert cases["replicas_equal"].find("error") is not None
    verdict = cases["verdict"].find("failure")
    assert verdict is not None and "outlast drill power-off --seed 7" in (verdict.text or "")
    for suite in (first, second):
        for case in suite.findall("testcase"):
            assert case.get("classname") == "outlast.power-off"
            assert float(case.get("time", "")) >= 0


def test_any_message_of_a_server_makes_valid_xml() -> None:
    nasty = "\x00 \x1b[31m <&> ]]> \ud800 \U0001f600 \ufffe"
    root = xml.fromstring(junit([run("fail", check("log", "fail", nasty))]).encode())
    told = "".join(root.itertext())
    assert "<&> ]]>" in told and "\U0001f600" in told


def test_much_evidence_is_cut_and_said_to_be() -> None:
    many = [f"lost {i}" for i in range(EVIDENCE_MAX + 5)]
    text = junit([run("fail", check("lost_writes", "fail", *many))])
    assert f"lost {EVIDENCE_MAX - 1}\n" in text and f"lost {EVIDENCE_MAX}\n" not in text
    assert "and 5 more in the store" in text
