"""Verdicts as continuous integration reads them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import msgspec
import pytest
from unit.loadgen.reporting import HOSTILE, made

from loadgen.junit import render_junit

ALLOWED = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "skipped", "timestamp", "id"},
        {"testcase", "system-out"},
    ),
    "testcase": ({"name", "classname", "time"}, {"failure", "error", "skipped"}),
    "failure": ({"message", "type"}, set[str]()),
    "error": ({"message", "type"}, set[str]()),
    "skipped": ({"message"}, set[str]()),
    "system-out": (set[str](), set[str]()),
}
"""Attributes and children that junit-10.xsd has of each element, as far as they are used here."""


@pytest.mark.parametrize("word", ["", HOSTILE])
def test_the_document_keeps_to_the_common_schema(word: str) -> None:
    """Whatever a target said, the document can be read, and holds only what its readers know; its counts are right."""
    root = ET.fromstring(render_junit(made(endpoints=3, word=word)))  # noqa: S314 - we wrote it
    for element in root.iter():
        attributes, children = ALLOWED[element.tag]
        assert set(element.attrib) <= attributes
        assert {child.tag for child in element} <= children
    (suite,) = root
    cases = suite.findall("testcase")
    for figure, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.attrib[figure]) == len(suite.findall(f"testcase/{tag}"))
    assert int(suite.attrib["tests"]) == len(cases) == 3 + 2


def test_each_endpoint_is_a_case_with_its_figures() -> None:
    """A miss is a failure, one without a target is skipped, and so much failed that the error rate is a case that fails."""
    root = ET.fromstring(render_junit(made(endpoints=3)))  # noqa: S314 - the same
    found = {
        case.attrib["name"]: [(child.tag, child.attrib["message"]) for child in case] for case in root.iter("testcase")
    }
    assert found["step0: p95"] == [
        ("failure", "p95 250 ms (240 ms or more), target below 200 ms, 300 requests, 2 errors")
    ]
    assert found["step1: p95"] == []
    assert found["step2: p95"] == [("skipped", "it has no target")]
    ((tag, said),) = found["error rate"]
    assert (tag, said.split(",")[1]) == ("failure", " allowed 1 %: 17 timeout")
    assert found["validity"] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state": "interrupted", "verdict": None}, "the run was interrupted before its end"),
        ({"validity": "INVALID", "verdict": None}, "the generator itself was late"),
    ],
)
def test_a_run_that_proves_nothing_is_an_error(changes: dict[str, object], message: str) -> None:
    """It is not the service that failed, and nobody may take it for a success."""
    result = made()
    status = msgspec.structs.replace(result.status, **changes)
    result = msgspec.structs.replace(result, status=status, invalid=("the generator itself was late",))
    (error,) = ET.fromstring(render_junit(result)).iter("error")  # noqa: S314 - the same
    assert error.attrib["message"] == message
