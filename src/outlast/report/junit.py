"""Runs as JUnit XML, for a CI server: one suite a drill, one case a check and one for the drill's verdict.

A check that fails is a <failure>; one that is unknown or invalid is an <error>: it says nothing of the database. The
schema is Jenkins's, https://github.com/jenkinsci/xunit-plugin (junit-10.xsd).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as xml

from outlast.history.history import JSON
from outlast.report.json import Document

EVIDENCE_MAX = 20
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, Char


def junit(runs: Sequence[Document]) -> str:
    """Return run documents as one JUnit document."""
    root = xml.Element("testsuites", name="outlast")
    for run in runs:
        root.append(_suite(run))
    xml.indent(root)
    return xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _skipped(run: Document) -> xml.Element:
    name = _clean(str(run["drill"]))
    suite = xml.Element(
        "testsuite", name=name, tests="1", failures="0", errors="0", skipped="1", time="0.000"
    )
    case = xml.SubElement(suite, "testcase", classname=f"outlast.{name}", name="verdict", time="0.000")
    xml.SubElement(case, "skipped", message=_clean(str(run["reason"])))
    return suite


def _suite(run: Document) -> xml.Element:
    if run["verdict"] == "skipped":
        return _skipped(run)
    checks = _documents(run["checks"])
    cases = [
        _case(run, str(one["name"]), one["elapsed_s"], str(one["verdict"]), _words(one)) for one in checks
    ]
    told = f"{run['title'] or run['drill']}\nrepeat: {run['replay']}\nstore: {run['store']}"
    cases.append(_case(run, "verdict", run["duration_s"], str(run["verdict"]), [str(run["verdict"]), told]))
    suite = xml.Element(
        "testsuite",
        name=_clean(f"{run['drill']} on {run['system']}"),
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
        skipped="0",
        time=_seconds(run["duration_s"]),
        timestamp=_clean(str(run["started"])),
    )
    properties = xml.SubElement(suite, "properties")
    for key in ("seed", "profile", "sync", "acked", "acked_lost", "outage_s", "two_writers_s", "replay"):
        if run[key] is not None:
            xml.SubElement(properties, "property", name=key, value=_clean(str(run[key])))
    suite.extend(cases)
    return suite


def _case(run: Document, name: str, took_s: JSON, verdict: str, words: list[str]) -> xml.Element:
    case = xml.Element(
        "testcase", classname=_clean(f"outlast.{run['drill']}"), name=name, time=_seconds(took_s)
    )
    if verdict != "pass":
        kind = "failure" if verdict == "fail" else "error"
        told = xml.SubElement(case, kind, message=_clean(words[0]), type=verdict)
        told.text = _clean("\n".join(words))
    return case


def _words(check: Document) -> list[str]:
    """Return a check's summary and its evidence, a line each."""
    evidence = [str(one["message"]) for one in _documents(check["evidence"])]
    more = [f"… and {len(evidence) - EVIDENCE_MAX} more in the store"] if len(evidence) > EVIDENCE_MAX else []
    return [str(check["summary"]), *evidence[:EVIDENCE_MAX], *more]


def _documents(value: JSON) -> list[Document]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _seconds(value: JSON) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "0.000"


def _clean(text: str) -> str:
    """Replace what XML cannot hold: a server's message may carry any byte."""
    return _NO_XML.sub("\ufffd", text)
