"""What stands on the page before any script runs."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import msgspec
import pytest

from console.pages import pages_for
from console.pages.page import Ask, Host
from console.rendering import Renderer
from console.static_files import FOLDER, StaticFiles
from observability.read.view import CacheView, Latency, RouteView

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
    """Verdict, rate, errors, percentiles, cache, pool, loop and routes with their targets are text in the first answer."""
    text = Reader(await visited.page()).text
    for figure in (
        "All targets met",
        "/auth/login is closest: it uses 63 % of its 200 ms. 1 more has too few requests to judge.",
        "Requests 14.2 /s 850 in the last minute",
        "Errors 0.9 % 8 of 850",
        "Latency p95 61.2 ms p50 2.13 ms, p99 151 ms",
        "Cache hit rate 97.4 % of 9,342, 2 evicted/min",
        "Pool in use 4 of 20 most 11, wait p95 430 µs",
        "Loop lag p99 2.10 ms hash queue 1 of 32",
        "POST /auth/login 13.5 /s 1.0 % 40.2 ms 126 ms 239 ms 200 ms met",
        "too few",
        "1 worker",
        "Live",
    ):
        assert figure in text, figure


@pytest.mark.parametrize(
    ("path", "figures"),
    [
        ("cache", ("session 97.4 % 9,100 230 12 2 0",)),
        ("workers", ("host:8000 pid 4121",)),
        ("load", ("20 users, 600 req/min, 30 s",)),
    ],
)
async def test_every_page_has_its_figures(visited: Served, path: str, figures: tuple[str, ...]) -> None:
    """What a page is about is text in its first answer."""
    text = Reader(await visited.page(path)).text
    for figure in figures:
        assert figure in text, figure


async def test_every_page_is_reached_from_every_other(visited: Served) -> None:
    """The navigation of each page leads to all, and marks the one that is shown."""
    paths = re.findall(r'<a href="([^"]+)" data-view data-name', await visited.page())
    assert paths[0] == "/console"
    assert len(paths) >= 4
    for path in paths:
        page = (await visited.client.get(path)).text
        assert re.findall(r'<a href="([^"]+)" data-view data-name', page) == paths
        marked = re.findall(r'<a href="([^"]+)"[^>]*aria-current="page"', page)
        assert marked == [path]


async def test_the_url_holds_what_is_looked_at(visited: Served) -> None:
    """Range, end and sorting come from the URL, and links to other pages and ranges keep them."""
    page = await visited.page(range="900", until="1795378000", sort="p95", filter="auth")
    assert visited.feed.untils[-1] == 1_795_378_000
    assert 'data-until="1795378000"' in page
    assert "Charts end at 20:06:40 UTC" in page
    assert 'href="/console/cache?range=900&amp;until=1795378000"' in page
    assert 'href="/console?range=3600&amp;until=1795378000&amp;filter=auth&amp;sort=p95"' in page
    assert 'aria-sort="descending"><a class="sort" href="/console?range=900&amp;until=1795378000&amp;' in page
    assert "over the last 15 min" in page


@pytest.mark.parametrize(
    ("sort", "first"),
    [("", "/auth/login"), ("-p95", "/auth/login"), ("p95", "/auth/register"), ("route", "/auth/login")],
)
async def test_routes_are_sorted_as_asked(visited: Served, sort: str, first: str) -> None:
    """Each column sorts most first, with a minus least first; nonsense sorts nothing."""
    text = Reader(await visited.page(sort=sort)).text
    routes = re.findall(r"POST (/auth/\w+)", text.partition("Trend of p95")[2])
    assert routes[0] == first
    assert len(routes) == 2


async def test_routes_are_filtered(visited: Served) -> None:
    """Only routes with the words in them are listed, and when there is none the page says so."""
    text = Reader(await visited.page(filter="REGIST")).text
    assert "POST /auth/register" in text
    assert "POST /auth/login 13.5" not in text
    assert "“<nothing>” in its name" in Reader(await visited.page(filter="<nothing>")).text


@pytest.mark.parametrize("query", ["range=x", "range=-5", "until=nan", "until=1e300", "until=0", "range=" + "9" * 400])
async def test_nonsense_in_the_url_is_as_if_it_were_not_there(visited: Served, query: str) -> None:
    """A query that cannot be read shows the usual page."""
    answer = await visited.client.get(f"/console?{query}")
    assert answer.status_code == 200
    assert "data-until" not in answer.text


async def test_a_theme_that_was_chosen_is_painted_first(visited: Served) -> None:
    """The cookie of the toggle is in the first paint; any other value is none."""
    visited.client.cookies.set("console_theme", "dark")
    assert '<html lang="en" data-theme="dark">' in await visited.page()
    visited.client.cookies.set("console_theme", '"><script>')
    assert '<html lang="en">' in await visited.page()


async def test_causes_are_named_under_the_verdict(visited: Served) -> None:
    """What the figures say about why stands on top, each cause leading to its page where there is one."""
    view = visited.feed.shown
    assert view.pool is not None
    pool = msgspec.structs.replace(view.pool, size=1, wait_p95=1.2, timeouts=3, use=1.0)
    cold = CacheView("session", 100, 900, 0, 0, 0, 0.1)
    visited.feed.shown = msgspec.structs.replace(view, pool=pool, caches=(cold,))
    page = await visited.page()
    assert "Requests wait for a database connection: p95 1.20 s, and 3 gave up; the pool has 1 connection" in page
    assert '<a href="/console/cache">The session cache is cold: 10.0 % of 1,000 lookups hit.</a>' in page


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
    assert page.count('class="missing"') >= 5
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
    """The page with everything it loads stays within its budget, as it goes over the wire."""
    page = await visited.page()
    total = len(page.encode())
    modules = {path.name for path in FOLDER.glob("*.js")}
    links = {link for link in Reader(page).links if "/static/" in link}
    folder = next(iter(links)).partition("/static/")[2].partition("/")[0]
    for path in links | {f"/console/static/{folder}/{name}" for name in modules}:
        answer = await visited.client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-encoding"] == "gzip"
        total += int(answer.headers["content-length"]) + 600
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
    host = Host(feed=visited.feed, load=visited.load, service="Test")
    pages = pages_for(host)
    renderer = Renderer(host=host, pages=pages, static=StaticFiles(tmp_path), base="/console")
    read = Reader(renderer.page(await renderer.look(pages["overview"], Ask()), form_token=""))
    assert "python -m console.assets" in read.text
    assert "Requests 14.2 /s" in read.text
    assert "uPlot" not in " ".join(read.links)


async def test_tables_and_judgements_can_be_read_out(visited: Served) -> None:
    """Each table has a caption, the verdict is announced politely, and the page names its language."""
    page = await visited.page()
    for path in ("", "cache", "workers"):
        tags = Reader(await visited.page(path)).tags
        assert tags.count("caption") == tags.count("table") >= 1
    assert 'role="status" aria-live="polite">All targets met' in page
    assert '<html lang="en">' in page


async def test_an_overview_of_the_past_says_so_of_each_figure(visited: Served) -> None:
    """Tiles and routes of a time that is over are told as of that time, and the verdict as the present's."""
    page = await visited.page(range="900", until="1795378000")
    tiles, routes = page.split('data-part="tiles"')[1].split('data-part="routes"')
    assert "850 in these 15 min" in tiles
    assert "on average" in tiles
    assert "the last 15 min up to 20:06:40 UTC" in routes
    assert "This is the present; the figures below are of 15 min up to 20:06:40 UTC." in page
    assert "last minute" not in tiles + routes
