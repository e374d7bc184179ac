"""The pages of a route, of kept traces and of one trace, and what they make of figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from unit.console.requests_seen import AT, BLOCKS, KEPT, NOW, ROUTE, SLOW, TRACE_ID, USUAL
from unit.console.test_console_pages import Reader

from console.blocks import blockers
from console.heat import heat_rows
from console.pages.page import Ask, Host
from console.pages.route import classes
from console.pages.trace import TracePage
from console.parts import it_spent, parts_of, slices, slowest_spend
from console.ports import NoLoad
from console.wanted import bounds, misread, read_duration, read_moment, trace_filter
from console.waterfall import waterfall
from observability.read.detail import CohortAnatomy, Heatmap, Period, StatusCount, TraceList

if TYPE_CHECKING:
    from unit.console.conftest import Served


@pytest.fixture
async def filled(visited: Served) -> Served:
    """Give a console whose feed knows a route and a trace."""
    visited.feed.route_shown = ROUTE
    visited.feed.traces_shown = TraceList((KEPT,))
    return visited


# Words and figures


def test_the_slowest_are_explained_by_what_they_wait_for_longer() -> None:
    """Not the largest part is named but the one that makes them slower than the usual."""
    assert slowest_spend((USUAL, SLOW)) == (
        "The slowest spend 1.18 s of 1.24 s waiting for a database connection; usual requests 100 µs of 13.5 ms."
    )
    usual = msgspec.structs.replace(USUAL, mean=0.4, parts=(("hash", 0.4), ("redis", 0.0)))
    slow = msgspec.structs.replace(SLOW, mean=0.95, parts=(("hash", 0.5), ("redis", 0.45)))
    assert slowest_spend((usual, slow)).startswith("The slowest spend 450 ms of 950 ms waiting for Redis")
    near = msgspec.structs.replace(USUAL, cohort="p99")
    assert slowest_spend((USUAL, near)) == (
        "The slowest take hardly longer than the usual; most of it, 9.50 ms of 13.5 ms, they spend hashing a password."
    )
    assert slowest_spend(()) == ""
    assert it_spent(KEPT) == "It spent 800 ms of 1.00 s waiting for a database connection."


def test_parts_fill_the_bar_to_its_end() -> None:
    """What no part accounts for is the request's own work, and all of them are as wide as its whole time."""
    parts = parts_of(KEPT)
    assert sum(seconds for _, seconds in parts) == pytest.approx(KEPT.seconds)
    shown = slices(parts, KEPT.seconds)
    assert [slice_.name for slice_ in shown] == ["hash", "pool_wait", "sql", "rest"]
    assert shown[-1].begin + shown[-1].width == pytest.approx(100, abs=0.01)
    assert slices(parts, KEPT.seconds, 2.0)[1].width == pytest.approx(40)
    assert slices((), 0.0) == ()


def test_a_waterfall_has_the_clients_wait_in_front_and_logs_in_their_place() -> None:
    """All rows are on one time with round moments on its ruler, children by when they began, and none lies outside of the width."""
    laid = waterfall([KEPT])
    assert laid.seconds == pytest.approx(1.25)
    assert [tick.seconds for tick in laid.ticks] == pytest.approx([0, 0.5, 1])
    assert [tick.left for tick in laid.ticks] == pytest.approx([0, 40, 80])
    assert [(row.kind, row.label, row.depth) for row in laid.rows] == [
        ("wait", "Waited at the client before it was sent", 0),
        ("request", "POST /auth/login", 0),
        ("span", "pool wait", 1),
        ("log", "the pool was <slow>", 1),
        ("span", "user_by_email", 1),
        ("span", "inner", 2),
    ]
    assert [row.left for row in laid.rows[:2]] == pytest.approx([0, 20], abs=0.01)
    assert all(row.left >= 0 and row.left + row.width <= 100.01 for row in laid.rows)


def test_a_waterfall_of_two_requests_begins_with_the_first() -> None:
    """A trace that several workers served is one picture."""
    later = msgspec.structs.replace(KEPT, span_id="f1", started=KEPT.started + 2, client_wait=None, spans=(), logs=())
    laid = waterfall([later, KEPT])
    assert laid.began == KEPT.started - 0.25
    assert laid.seconds == pytest.approx(3.25)
    assert laid.rows[-1].key == "f1"
    circular = tuple(msgspec.structs.replace(span, parent_id="a3") for span in KEPT.spans)
    assert waterfall([msgspec.structs.replace(KEPT, spans=circular)]).rows


def test_a_gap_of_the_heatmap_is_none_and_no_zero() -> None:
    """The table says the same as the picture, newest first, at most thirty rows."""
    rows = heat_rows(ROUTE.heatmap, ROUTE.target)
    assert [(row.end, row.count, row.over) for row in rows] == [(AT, 3, 0), (AT - 10, None, None), (AT - 20, 8, 0)]
    assert rows[2].usual == (0.0884, 0.125)
    assert rows[2].slowest == (0.177, 0.25)
    assert heat_rows(ROUTE.heatmap, 0.1)[2].over == 1
    long = Heatmap(10, tuple(range(10, 3610, 10)), (0.1, 0.2), ((1,),) * 360)
    assert len(heat_rows(long, None)) == 30
    assert sum(row.count or 0 for row in heat_rows(long, None)) == 360
    assert heat_rows(Heatmap(), 0.1) == ()
    assert heat_rows(Heatmap(10, (10,), (), ((),)), 0.1)[0].count == 0


def test_blocks_are_told_by_function_with_the_longest_one_s_stack() -> None:
    """What ran outside of the service's code comes last, however long it took."""
    first, last = blockers(BLOCKS)
    assert (first.function, first.times) == ("export (app/report.py:12)", 2)
    assert first.total == pytest.approx(0.6)
    assert first.longest.stack == ("export (app/report.py:12)",)
    assert first.delayed == (("POST /auth/login", 4), ("GET /x", 1))
    assert last.outside
    assert blockers(()) == ()


def test_answers_are_grouped_by_class_and_those_never_sent_come_last() -> None:
    """A request that was not answered has no class."""
    grouped = classes((StatusCount(0, "closed", 1), *ROUTE.statuses))
    assert [(group.name, group.count) for group in grouped] == [("2xx", 789), ("4xx", 20), ("5xx", 3), ("no answer", 1)]
    assert sum(group.share for group in grouped) == pytest.approx(1)


# What is asked for


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("150 ms", 0.15), ("1.5s", 1.5), ("743us", 743e-6), ("743 µs", 743e-6), ("2", 2.0), ("1,200 ms", 1.2)],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    """With their unit, or in seconds."""
    assert read_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "fast", "-1 s", "1e9", "nan", "1 h", "٣ s", "9" * 40])
def test_what_is_no_duration_bounds_nothing(text: str) -> None:
    """It is not guessed at."""
    assert read_duration(text) is None


def test_moments_are_read_from_forms_and_from_brushes() -> None:
    """A form writes a date and time, in UTC; a brush writes Unix seconds."""
    assert read_moment("1795378651") == NOW
    assert read_moment("2026-11-22T20:17:31") == NOW
    assert read_moment("2026-11-22T20:17") == NOW - 31
    assert read_moment("2026-11-22T21:17:31+01:00") == NOW
    for text in ("", "yesterday", "2026-11-22", "2026-99-99T00:00:00", "9" * 30, "0001-01-01T00:00:00+23:59"):
        assert read_moment(text) is None


def test_bounds_are_written_as_they_are_read() -> None:
    """What a form shows is what it was given; what cannot be read is named."""
    ask = Ask(Period(), (("least", "150ms"), ("most", "soon"), ("since", "1795378651")))
    assert bounds(ask).written() == {"least": "150 ms", "most": "", "since": "2026-11-22T20:17:31", "to": ""}
    assert bounds(ask).given
    assert misread(ask) == {"most"}
    assert trace_filter(Ask(Period(300, NOW)), 7).until == NOW


# Pages


async def test_a_route_shows_its_figures_before_any_script_runs(filled: Served) -> None:
    """Judgement, percentiles, anatomy in words, status codes, what blocked, kept traces and the heatmap as a table."""
    page = Reader(await filled.page("route", method="POST", route="/auth/login"))
    for words in (
        "p95 126 ms of its 200 ms over the last 5 min",
        "The slowest spend 1.18 s of 1.24 s waiting for a database connection",
        "503 hashing-busy",
        "export (app/report.py:12)",
        "Waited for it: 4 \N{MULTIPLICATION SIGN} POST /auth/login",
        "nobody was heard",
        "88.4 ms to 125 ms",
    ):
        assert words in page.text, words
    assert f"/console/trace/{TRACE_ID}" in page.links
    assert not page.inline


async def test_a_brush_lists_the_traces_that_ended_under_it(filled: Served) -> None:
    """A heatmap counts requests when they end; a slow one had started long before."""
    text = await filled.page(
        "route", method="POST", route="/auth/login", since=str(AT), to=str(AT + 20), least="500ms", most="2s"
    )
    assert "Kept traces under the brush" in Reader(text).text
    wanted = filled.feed.wanted[-1]
    assert (wanted.method, wanted.route, wanted.least, wanted.most) == ("POST", "/auth/login", 0.5, 2.0)
    assert wanted.since is not None
    assert wanted.since <= AT - 2
    assert wanted.until == AT + 20


async def test_what_started_in_time_but_ended_before_is_not_under_the_brush(filled: Served) -> None:
    """The feed bounds when a request started; the page, when it ended."""
    query = {"method": "POST", "route": "/auth/login", "to": str(int(NOW) + 60)}
    assert TRACE_ID in await filled.page("route", since=str(int(NOW) - 4), **query)
    assert TRACE_ID not in await filled.page("route", since=str(int(NOW) + 30), **query)


async def test_a_route_that_did_nothing_says_so_and_offers_an_hour(filled: Served) -> None:
    """It is a page like others, not an error; an address without a route is none."""
    text = Reader(await filled.page("route", method="GET", route="/quiet")).text
    assert "No request of it was answered in the last 5 min" in text
    assert "Look at an hour" in text
    assert (await filled.client.get("/console/route")).status_code == 404


async def test_traces_are_filtered_by_what_the_address_says(filled: Served) -> None:
    """Each field of the form is an argument; what is chosen stays chosen."""
    page = await filled.page(
        "traces", method="POST", route="/auth/login", status="5xx", why="slow", least="150 ms", since="1795378000"
    )
    wanted = filled.feed.wanted[-1]
    assert (wanted.method, wanted.route, wanted.status, wanted.why) == ("POST", "/auth/login", "5xx", "slow")
    assert (wanted.least, wanted.most, wanted.since) == (0.15, None, 1795378000)
    assert '<option value="5xx" selected>' in page
    assert 'value="150 ms"' in page
    assert "1 kept trace" in Reader(page).text
    assert not Reader(page).inline


async def test_what_a_filter_cannot_read_is_said(filled: Served) -> None:
    """It narrows nothing, and is not silently dropped."""
    page = await filled.page("traces", least="quick")
    assert "Not understood: least" in page
    assert 'aria-invalid="true"' in page


async def test_watching_traces_asks_for_them_every_few_seconds(filled: Served) -> None:
    """However many look at the same list, thousands of traces are not read for each."""
    for _ in range(4):
        await filled.page("traces", route="/auth/login")
    assert len(filled.feed.wanted) == 1


async def test_a_trace_shows_its_waterfall_and_leads_elsewhere(filled: Served) -> None:
    """Rows, logs, attributes, the client's wait, what was dropped, and a link to the tracing system."""
    page = Reader(await filled.page(f"trace/{TRACE_ID}"))
    for words in (
        "It spent 800 ms of 1.00 s waiting for a database connection.",
        "Waited at the client before it was sent",
        "user_by_email",
        "SELECT <1>",
        "the pool was <slow>",
        "2 more spans and logs were not kept",
    ):
        assert words in page.text, words
    assert f"https://traces.example/trace/{TRACE_ID}" in page.links
    assert not page.inline


async def test_a_trace_that_nobody_kept_says_why_that_may_be(filled: Served) -> None:
    """Not kept, too old, or gone with Redis; it may still be in the tracing system."""
    page = Reader(await filled.page(f"trace/{'ab' * 16}"))
    for words in ("It was not kept", "It is too old", "Redis was restarted", "has not arrived yet"):
        assert words in page.text
    assert f"https://traces.example/trace/{'ab' * 16}" in page.links


async def test_what_is_no_trace_id_leads_nowhere(filled: Served) -> None:
    """It is shown as text, whatever it holds."""
    page = Reader(await filled.page("trace/%22%3E%3Cscript%3E"))
    assert "Nothing is kept of this trace" in page.text
    assert page.tags.count("script") == 2
    assert not [link for link in page.links if "traces.example" in link]


@pytest.mark.parametrize(
    "template",
    [
        "javascript:alert('{trace_id}')",
        "javascript://traces.example/%0Aalert('{trace_id}')",
        "https://traces.example/",
        "{trace_id}",
        "https://{trace_id}.example/",
    ],
)
def test_a_template_that_leads_nowhere_safe_is_refused(served: Served, template: str) -> None:
    """Only http and https are followed, and the id goes behind the host."""
    with pytest.raises(ValueError, match="trace URL"):
        TracePage(Host(feed=served.feed, load=NoLoad(), service="Test", trace_url=template))


def test_cohorts_that_name_parts_of_a_later_version_are_still_shown() -> None:
    """A part that this version has no words for is shown by its name."""
    strange = CohortAnatomy("p99", 1, 0.1, 0.2, 0.15, (("queue", 0.15),))
    assert slices(strange.parts, strange.mean)[0].title == "queue"
