"""What stands on the page before any script runs."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import msgspec
import pytest

from console.pages import Pages
from console.static_files import FOLDER, StaticFiles
from observability.read.view import Latency, RouteView

if TYPE_CHECKING:
    from pathlib import Path

    from unit.console.conftest import Served

    from observability.read.view import View

BUDGET = 150 * 1024
"""Bytes over the wire that a first page may take."""


class Reader(HTMLParser):
    """Reads a page as a browser without scripts would: its text, and what the policy would have to forbid."""

    def __init__(self, page: str) -> None:
        """Read a page."""
        super().__init__()
        self.inline: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.tags: list[str] = []
        self.feed(page)
        self.close()
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note inline scripts and styles, and what is linked."""
        named = dict(attrs)
        self.tags.append(tag)
        if tag == "style" or (tag == "script" and not named.get("src")):
            self.inline.append(tag)
        self.inline += [name for name in named if name == "style" or name.startswith("on")]
        self.links += [str(named[name]) for name in ("src", "href", "action") if named.get(name)]

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self.words.append(data.strip())


async def test_the_figures_stand_in_the_page(visited: Served) -> None:
    """Rate, errors, percentiles, targets, cache, pool, hashing and workers are text in the first answer."""
    text = Reader(await visited.page()).text
    for figure in (
        "All targets met",
        "/auth/login is closest: it uses 63 % of its 200 ms. 1 more has too few requests to judge.",
        "Requests 14.2 /s",
        "Errors 0.9 %",
        "p50 2.13 ms",
        "p95 61.2 ms",
        "p99 151 ms",
        "Cache hit rate 97.4 %",
        "Evictions 2 /min",
        "Pool in use 4 of\N{NO-BREAK SPACE}20".replace("\N{NO-BREAK SPACE}", " "),
        "Pool wait p95 430 µs",
        "Hash queue 1 of 32",
        "POST /auth/login 13.5 /s 1.0 % 40.2 ms 126 ms 239 ms 200 ms met",
        "too few",
        "session 97.4 % 9,100 230 12 2 0",
        "1 worker",
        "host:8000 pid 4121",
        "Live",
        "20 users, 600 req/min, 30 s",
    ):
        assert figure in text, figure


async def test_nothing_is_inline_and_nothing_comes_from_elsewhere(visited: Served) -> None:
    """No page has an inline script, style or handler, or a link that leaves this origin."""
    pages = [await visited.page(), (await visited.client.get("/console/none")).text]
    visited.client.cookies.clear()
    pages.append((await visited.client.get("/console/login")).text)
    for page in pages:
        read = Reader(page)
        assert read.inline == []
        assert all(link.startswith(("/console", "#")) for link in read.links), read.links


async def test_answers_carry_the_policy(visited: Served) -> None:
    """Pages, redirects, refusals and files carry the content security policy and its companions."""
    for path in (
        "/console",
        "/console/login?token=x",
        "/console/none",
        "/console/session",
        "/console/static/x/icon.svg",
    ):
        headers = (await visited.client.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
    assert (await visited.client.get("/console")).headers["cache-control"] == "no-store"


async def test_what_is_not_known_is_a_dash_that_says_why(visited: Served, nothing: View) -> None:
    """With nothing known the page stands, shows dashes, and no zero that was not counted."""
    visited.feed.shown = nothing
    page = await visited.page()
    text = Reader(page).text
    assert "Waiting for the first figures Telemetry is off." in text
    assert "This worker only: telemetry is off" in text
    assert page.count('class="missing"') >= 9
    assert 'title="no requests in the last minute"' in page
    assert "0 /s" not in text


async def test_stale_figures_are_shown_as_stale(visited: Served) -> None:
    """Figures older than five seconds are not praised, and the page says how old they are."""
    visited.feed.shown = msgspec.structs.replace(visited.feed.shown, age=14.0)
    text = Reader(await visited.page()).text
    assert "No fresh figures for 14 s" in text
    assert "Stale: newest is 14 s old" in text
    assert "All targets met" not in text


async def test_a_route_that_nobody_asked_for_is_idle(visited: Served) -> None:
    """A target without a request is neither met nor short of samples: the route is listed as idle with its target."""
    idle = RouteView("GET", "/auth/me", 0.0, 0, None, Latency(), 0.1, "too few")
    visited.feed.shown = msgspec.structs.replace(visited.feed.shown, routes=(idle,))
    text = Reader(await visited.page()).text
    assert "1 idle route GET /auth/me 100 ms" in text
    assert "No route was asked for in the last minute." in text
    assert "too few requests to judge" not in text


async def test_idle_routes_are_folded_away_beside_busy_ones(visited: Served) -> None:
    """Beside a busy route the idle ones are folded; alone they are unfolded, so that targets can be read."""
    idle = tuple(RouteView("GET", f"/idle/{n}", 0.0, 0, None, Latency(), 0.1, "too few") for n in range(11))
    busy = visited.feed.shown.routes
    visited.feed.shown = msgspec.structs.replace(visited.feed.shown, routes=busy + idle)
    page = await visited.page()
    assert "11 idle routes" in Reader(page).text
    assert re.search(r"<details[^>]*>", page)
    assert not re.search(r"<details[^>]* open", page)
    visited.feed.shown = msgspec.structs.replace(visited.feed.shown, routes=idle)
    assert re.search(r"<details[^>]* open", await visited.page())


async def test_names_cannot_break_the_page(visited: Served) -> None:
    """A route, a service and a reason that look like markup are shown as what they are."""
    hostile = "/<script>alert(1)</script>\"'"
    route = RouteView("GET", hostile, 1.0, 0, 0.0, Latency(60, 0.1, 0.1, 0.1), None, "no target")
    view = msgspec.structs.replace(visited.feed.shown, routes=(route,), scope="worker", reason=hostile)
    visited.feed.shown = view
    read = Reader(await visited.page())
    assert read.inline == []
    assert hostile in read.text
    assert "Test <service>" in read.text


async def test_the_first_page_is_light(visited: Served) -> None:
    """The page with everything it loads stays within its budget."""
    page = await visited.page()
    total = len(page.encode())
    modules = {"console.js", "charts.js", "units.js", "load.js", "patch.js", "stream.js"}
    links = {link for link in Reader(page).links if "/static/" in link}
    folder = next(iter(links)).partition("/static/")[2].partition("/")[0]
    for path in links | {f"/console/static/{folder}/{name}" for name in modules}:
        answer = await visited.client.get(path)
        assert answer.status_code == 200, path
        total += len(answer.content) + 600
    assert total <= BUDGET


@pytest.mark.parametrize(
    ("name", "kind"),
    [("console.css", "text/css"), ("console.js", "text/javascript"), ("icon.svg", "image/svg+xml")],
)
async def test_files_are_kept_for_ever_under_their_digest(served: Served, name: str, kind: str) -> None:
    """Under the present digest a file is immutable; under another it is still served, but not to be kept."""
    digest = StaticFiles().digest
    kept = await served.client.get(f"/console/static/{digest}/{name}")
    other = await served.client.get(f"/console/static/0123456789abcdef/{name}")
    assert kept.headers["content-type"].startswith(kind)
    assert "immutable" in kept.headers["cache-control"]
    assert other.headers["cache-control"] == "no-cache"
    assert kept.content == other.content == (FOLDER / name).read_bytes()


@pytest.mark.parametrize("name", ["../blueprint.py", "..%2fblueprint.py", "%2e%2e/templates/base.html", "vendor/", "x"])
async def test_only_static_files_are_served(served: Served, name: str) -> None:
    """No path leads out of the folder."""
    answer = await served.client.get(f"/console/static/{StaticFiles().digest}/{name}")
    assert answer.status_code in {303, 404}


async def test_the_digest_follows_every_file(tmp_path: Path) -> None:
    """Changing any file changes the path of all."""
    (tmp_path / "a.js").write_text("1")
    before = StaticFiles(tmp_path).digest
    (tmp_path / "b.css").write_text("2")
    assert StaticFiles(tmp_path).digest != before


async def test_without_the_charting_library_the_page_says_what_to_do(visited: Served, tmp_path: Path) -> None:
    """A missing vendor file costs the charts only, and the page names the command that fetches it."""
    (tmp_path / "console.css").write_text("")
    pages = Pages(feed=visited.feed, load=visited.load, static=StaticFiles(tmp_path), service="Test", base="/console")
    read = Reader(pages.overview(await pages.look(), form_token=""))
    assert "python -m console.assets" in read.text
    assert "Requests 14.2 /s" in read.text
    assert "uPlot" not in " ".join(read.links)


async def test_tables_and_judgements_can_be_read_out(visited: Served) -> None:
    """Each table has a caption, the verdict is announced politely, and the page names its language."""
    page = await visited.page()
    tags = Reader(page).tags
    assert tags.count("caption") == tags.count("table") == 3
    assert 'role="status" aria-live="polite">All targets met' in page
    assert '<html lang="en">' in page
