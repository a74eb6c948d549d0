"""Runs as JUnit XML, for a CI server: one suite a drill, one case a check and one for the drill's verdict.

A check that fails is a <failure>; one that is unknown or invalid is an <error>: it says nothing of the database. The
schema is Jenkins's, https://github.com/jenkinsci/xunit-plugin (junit-10.xsd).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as xml

from outlast.checkers.base import Verdict
from outlast.report.findings import CheckResult
from outlast.report.run_report import Number, RunReport
from outlast.report.suite_report import CodeCheckReport, MemberReport, SkippedReport

EVIDENCE_MAX = 20
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, Char


def junit(members: Sequence[MemberReport]) -> str:
    """Return runs, or the members of a suite, as one JUnit document."""
    root = xml.Element("testsuites", name="outlast")
    for member in members:
        root.append(_skipped(member) if isinstance(member, SkippedReport) else _suite(member))
    xml.indent(root)
    return xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _skipped(member: SkippedReport) -> xml.Element:
    name = _clean(member.drill)
    suite = xml.Element(
        "testsuite", name=name, tests="1", failures="0", errors="0", skipped="1", time="0.000"
    )
    case = xml.SubElement(suite, "testcase", classname=f"outlast.{name}", name="verdict", time="0.000")
    xml.SubElement(case, "skipped", message=_clean(member.reason))
    return suite


def _suite(run: RunReport | CodeCheckReport) -> xml.Element:
    document = run.to_document()
    cases = [
        _case(run.drill, check.name, check.elapsed_s, check.verdict, _lines(check)) for check in run.checks
    ]
    told = f"{run.title or run.drill}\nrepeat: {run.replay}\nstore: {document['store']}"
    cases.append(_case(run.drill, "verdict", run.duration_s, run.verdict, [run.verdict.value, told]))
    suite = xml.Element(
        "testsuite",
        name=_clean(f"{run.drill} on {run.system}"),
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
        skipped="0",
        time=_seconds(run.duration_s),
        timestamp=_clean(run.started),
    )
    properties = xml.SubElement(suite, "properties")
    for key in ("seed", "profile", "sync", "acked", "acked_lost", "outage_s", "two_writers_s", "replay"):
        if document[key] is not None:
            xml.SubElement(properties, "property", name=key, value=_clean(str(document[key])))
    suite.extend(cases)
    return suite


def _case(drill: str, name: str, took_s: Number | None, verdict: Verdict, lines: list[str]) -> xml.Element:
    case = xml.Element("testcase", classname=_clean(f"outlast.{drill}"), name=name, time=_seconds(took_s))
    if verdict is not Verdict.PASS:
        kind = "failure" if verdict is Verdict.FAIL else "error"
        told = xml.SubElement(case, kind, message=_clean(lines[0]), type=verdict.value)
        told.text = _clean("\n".join(lines))
    return case


def _lines(check: CheckResult) -> list[str]:
    """Return a check's summary and its evidence, a line each."""
    messages = [piece.message for piece in check.evidence]
    more = [f"… and {len(messages) - EVIDENCE_MAX} more in the store"] if len(messages) > EVIDENCE_MAX else []
    return [check.summary, *messages[:EVIDENCE_MAX], *more]


def _seconds(value: Number | None) -> str:
    return "0.000" if value is None else f"{value:.3f}"


def _clean(text: str) -> str:
    """Replace what XML cannot hold: a server's message may carry any byte."""
    return _NO_XML.sub("\ufffd", text)
