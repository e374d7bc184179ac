"""The page that is mailed: whole in itself, and harmless whatever the target said."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import msgspec
import pytest
from unit.loadgen.reporting import HOSTILE, made

from loadgen.report_html import render_html
from loadgen.service_figures import ServiceFigures, ServiceSample
from loadgen.service_view import service_charts
from observability.model import Distribution

_VOID = {"meta", "br"}


class Page(HTMLParser):
    """What a browser sees: elements with their attributes, what each text stands in, and whether all is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.styles: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one that is closed at once."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Take the element that ends."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note a text."""
        (self.styles if self.open and self.open[-1] == "style" else self.words).append(data)


@pytest.mark.parametrize("word", ["", HOSTILE])
def test_the_page_is_whole_and_takes_nothing_from_elsewhere(word: str) -> None:
    """No script, no link, no style on an element, whatever a target's words try; its one style sheet is the one it allows."""
    page = Page(render_html(made(word=word)))
    assert not page.open
    names = {name for name, _ in page.elements}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "a", "form", "image", "use", "base"}
    attributes = {attribute for _, attributes in page.elements for attribute in attributes}
    assert not {name for name in attributes if name.startswith("on")} | (
        attributes & {"style", "src", "href", "xlink:href"}
    )
    (style,) = page.styles
    assert "url(" not in style
    assert "@import" not in style
    csp = next(found["content"] for _, found in page.elements if found.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert csp == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_what_a_target_said_is_shown_as_it_was() -> None:
    """Escaped, not left out: the words stand there to be read, and nothing in them is carried out."""
    page = Page(render_html(made(word=HOSTILE)))
    assert sum("alert(1)" in word and "{{7*7}}" in word for word in page.words) > 5


def test_the_verdict_comes_first_in_words() -> None:
    """Who was too slow, what failed, and what the figures are; then everything that explains it."""
    page = Page(render_html(made()))
    text = " ".join(" ".join(page.words).split())
    assert "FAIL step0 missed its target; 1.3 % of the requests failed, 1 % may. step0: p95 250 ms" in text
    for part in ("step0 GET / FAIL 250 ms 240 ms or more &lt; 200 ms", "not judged", "Over time", "Distribution"):
        assert part.replace("&lt;", "<") in text
    for part in ("Slowest requests", "no HTTP", "garbage", f"{1:032x}", "Scenario hash 0123456789ab", "30 MiB"):
        assert part in text
    assert len(re.findall(r'<svg class="chart"', render_html(made()))) == 6 + 3 + 2 + 2


@pytest.mark.parametrize(
    ("changes", "word", "sentence"),
    [
        ({"verdict": "PASS"}, "PASS", "The one target was met, and "),
        ({"verdict": None, "validity": "INVALID"}, "INVALID", "prove nothing about the service"),
        ({"verdict": "TOO FEW"}, "TOO FEW", "Not every endpoint can be judged"),
        ({"verdict": None, "state": "interrupted"}, "INTERRUPTED", "ended after 0:30 of 0:30"),
        (
            {"completed": 0, "verdict": None, "p50": None, "p95": None, "p99": None},
            "NO VERDICT",
            "No request came to an end",
        ),
    ],
)
def test_every_end_has_its_words(changes: dict[str, object], word: str, sentence: str) -> None:
    """A run that ended otherwise than planned says so at the top."""
    result = made()
    status = msgspec.structs.replace(result.status, **changes)
    if word == "PASS":
        status = msgspec.structs.replace(
            status, endpoints=(msgspec.structs.replace(status.endpoints[0], verdict="PASS"),)
        )
    page = render_html(msgspec.structs.replace(result, status=status))
    assert f"<title>{word}: mine" in page
    assert sentence in " ".join(page.split())


def test_a_run_that_sent_nothing_has_a_page() -> None:
    """Interrupted while its users were prepared, there is nothing to draw, and that is no error."""
    result = made()
    none = Distribution()
    endpoints = tuple(
        msgspec.structs.replace(each, response=none, service=none, blocks=(), slowest=(), examples=(), failures={})
        for each in result.endpoints
    )
    status = msgspec.structs.replace(
        result.status, state="interrupted", verdict=None, completed=0, elapsed=0.0, rate=0.0, p50=None, endpoints=()
    )
    page = render_html(msgspec.structs.replace(result, status=status, endpoints=endpoints, moments=(), service=None))
    assert "before it began" in page
    assert "<svg" not in page


def test_the_service_is_drawn_from_what_its_processes_told() -> None:
    """Counters become rates, processes are added up, and one that was replaced does not count backwards."""
    told = ServiceFigures(
        "http://service:1/metrics",
        1.0,
        (
            ServiceSample(
                0.0, {"a": {"cpu": 10.0, "lags": 5.0, "lag_seconds": 1.0}, "b": {"cpu": 4.0, "memory": 1 << 20}}
            ),
            ServiceSample(
                2.0, {"a": {"cpu": 11.0, "lags": 9.0, "lag_seconds": 1.2}, "b": {"cpu": 5.0, "memory": 3 << 20}}
            ),
            ServiceSample(
                4.0, {"a": {"cpu": 12.0, "lags": 9.0, "lag_seconds": 1.2}, "b": {"cpu": 0.1, "memory": 2 << 20}}
            ),
        ),
    )
    found = {
        each.title: re.findall(r"<title>(.*?)</title>", str(each.chart), re.DOTALL)
        for each in service_charts(told, 4, 100)
    }
    assert found == {
        "CPU": ["0:00\nused 1", "0:02\nused 0.5"],
        "Loop lag": ["0:00\nlag 50 ms", "0:02\nlag -"],
        "Memory": ["0:00\nresident 3 MiB", "0:02\nresident 2 MiB"],
    }
    assert service_charts(None, 4, 100) == ()
    assert service_charts(msgspec.structs.replace(told, samples=told.samples[:1]), 4, 100) == ()


def test_a_large_run_stays_a_page_that_can_be_mailed() -> None:
    """Forty endpoints, each with a block a second, stay below a megabyte."""
    assert len(render_html(made(endpoints=40, seconds=440)).encode()) < 1_000_000
