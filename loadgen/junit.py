"""The verdicts of a run as JUnit XML, which continuous integration shows like tests.

There is no standard; this is the part that Jenkins' xUnit plugin, GitLab and Azure agree on (junit-10.xsd of the former):
``testsuites`` of one ``testsuite`` of ``testcase``, each with at most one ``failure`` (the service), ``error`` (the run proves
nothing) or ``skipped`` (not judged).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from xml.etree import ElementTree as ET

import msgspec

from loadgen.durations import duration, share, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.results import EndpointStatus, Result

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped; a service may have said it."""


class Case(msgspec.Struct, frozen=True):
    """One judgement: what was judged, what it took (seconds), and why it did not pass."""

    name: str
    said: str
    seconds: float = 0.0
    outcome: Literal["passed", "failure", "error", "skipped"] = "passed"
    kind: str = ""


def render_junit(result: Result) -> bytes:
    """Return the document, UTF-8."""
    status = result.status
    cases = list(_cases(result))
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.outcome == "failure" for case in cases)),
        "errors": str(sum(case.outcome == "error" for case in cases)),
    }
    root = ET.Element("testsuites", {"name": "load", "time": f"{status.elapsed:.3f}"} | counts)
    suite = ET.SubElement(
        root,
        "testsuite",
        {"name": _text(status.scenario), "time": f"{status.elapsed:.3f}"}
        | counts
        | {"skipped": str(sum(case.outcome == "skipped" for case in cases))}
        | {"timestamp": f"{datetime.fromtimestamp(status.started, UTC):%Y-%m-%dT%H:%M:%S}", "id": _text(status.run)},
    )
    for case in cases:
        element = ET.SubElement(
            suite,
            "testcase",
            {"classname": f"load.{_text(status.scenario)}", "name": _text(case.name), "time": f"{case.seconds:.6f}"},
        )
        if case.outcome != "passed":
            about = {"message": _text(case.said)} | ({"type": case.kind} if case.outcome != "skipped" else {})
            ET.SubElement(element, case.outcome, about).text = _text(case.said)
    ET.SubElement(suite, "system-out").text = _text(f"{status.target}\n{status.message}".strip())
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _cases(result: Result) -> Iterator[Case]:
    for endpoint in result.status.endpoints:
        yield _endpoint(endpoint)
    yield _error_rate(result)
    yield _validity(result)


def _endpoint(endpoint: EndpointStatus) -> Case:
    name = f"{endpoint.name}: p95"
    seconds = endpoint.p95 or 0.0
    figures = (
        f"p95 {duration(endpoint.p95)} ({span(endpoint.p95_interval)}), target below {duration(endpoint.target)}, "
        f"{endpoint.count:,} requests, {endpoint.errors:,} errors"
    )
    if endpoint.verdict is None:
        return Case(name, "it has no target", seconds, "skipped")
    if endpoint.verdict == "TOO FEW":
        return Case(name, f"not clear: {figures}", seconds, "skipped")
    return Case(name, figures, seconds, "passed" if endpoint.verdict == "PASS" else "failure", "too slow")


def _error_rate(result: Result) -> Case:
    """Judge what the whole run may not do: fail too often, answer 500 too often, break a stop rule."""
    status = result.status
    if not status.completed:
        return Case("error rate", "no request came to an end", outcome="error", kind="no requests")
    rate, allowed = status.errors / status.completed, result.scenario.allowed_error_rate
    kinds: dict[str, int] = {}
    for endpoint in result.endpoints:
        for kind, count in endpoint.failures.items():
            kinds[kind] = kinds.get(kind, 0) + count
    told = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    said = (
        f"{share(rate)} of {status.completed:,} requests failed, allowed {share(allowed)}{': ' if told else ''}{told}"
    )
    if rate > allowed:
        return Case("error rate", said, outcome="failure", kind="too many errors")
    slow = any(endpoint.verdict == "FAIL" for endpoint in status.endpoints)
    if status.verdict == "FAIL" and not slow:
        return Case("error rate", status.message, outcome="failure", kind="broken rule")
    return Case("error rate", said)


def _validity(result: Result) -> Case:
    if result.status.state == "interrupted":
        return Case("validity", "the run was interrupted before its end", outcome="error", kind="interrupted")
    if result.status.validity != "VALID":
        return Case("validity", "; ".join(result.invalid) or "not valid", outcome="error", kind="invalid")
    return Case("validity", "the generator kept up")


def _text(text: str) -> str:
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
