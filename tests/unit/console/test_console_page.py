"""What a page is asked, where pages are, and what can be done on them: over a page that is made up."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

import console
from console.pages import PAGES, pages_for
from console.pages.page import Action, Ask, Download, File, Host, NothingThere, Outcome, Page, Refused, asked
from console.ports import NoLoad
from console.static_files import FOLDER
from observability.read.detail import Period

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unit.console.conftest import Served

NOW = 1_795_378_651.0


class BookPage(Page):
    """A page whose path has an argument."""

    name = "page"  # whose template is shown
    title = "Book"
    path = "books/<book:str>"
    nav = "overview"
    arguments = ("chapter",)
    charts = False
    asks: ClassVar[list[Ask]] = []

    async def look(self, ask: Ask) -> dict[str, Any]:
        """Know one book."""
        self.asks.append(ask)
        if ask.get("book") != "moby-dick":
            raise NothingThere("There is no such book.")
        return {}

    def actions(self) -> Mapping[str, Action]:
        """Lend."""
        return {"lend": self._lend}

    def downloads(self) -> Mapping[str, Download]:
        """Hand out."""
        return {"leaves/<page:str>": self._hand_out}

    async def _lend(self, form: Mapping[str, str]) -> Outcome:
        if form.get("to") != "ann":
            raise Refused("Only Ann may have it.", field="to")
        return Outcome(self.name, {"book": form["book"]}, {"lent": form["book"]})

    async def _hand_out(self, book: str, page: str) -> File | None:
        return File(f"{book} {page}".encode(), "text/plain", f"{book}.txt") if page == "1" else None


@pytest.fixture
def shelved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next console show the page."""
    overview = next(page for page in PAGES if page.name == "overview")
    monkeypatch.setattr(console, "pages_for", lambda host: {"overview": overview(host), BookPage.name: BookPage(host)})
    BookPage.asks.clear()


@pytest.fixture
async def library(shelved: None, served: Served) -> Served:  # noqa: ARG001 - the page is there before the console
    """Give a console that has the page, with a client that is logged in."""
    return await served.visit()


async def test_what_stands_in_a_path_is_asked_for(library: Served) -> None:
    """Arguments of path and query reach the page, and its stream; what it does not know is not found, in its words."""
    page = await library.page("books/moby-dick", chapter="3", until="1795378000", other="x")
    assert BookPage.asks[-1] == Ask(Period(until=1_795_378_000.0), (("book", "moby-dick"), ("chapter", "3")))
    assert 'data-ask-book="moby-dick"' in page
    assert 'data-ask-chapter="3"' in page
    missing = await library.client.get("/console/books/none")
    assert missing.status_code == 404
    assert "There is no such book." in missing.text
    async with library.client.stream("GET", "/console/events", params={"page": "page", "book": "moby-dick"}) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                break
    assert BookPage.asks[-1] == Ask(arguments=(("book", "moby-dick"),))


async def test_an_action_leads_on_or_says_why_not(library: Served) -> None:
    """A form is led to the page that shows what came of it; a refusal is shown, and a script is told the field."""
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', await library.page("books/moby-dick"))
    assert found is not None
    form = {"form_token": found[1], "to": "ann"}
    done = await library.client.post("/console/books/moby-dick/lend", data=form)
    assert (done.status_code, done.headers["location"]) == (303, "/console/books/moby-dick")
    refused = await library.client.post("/console/books/moby-dick/lend", data=form | {"to": "bob"})
    assert refused.status_code == 409
    assert '<p class="panel wrong" role="alert">Only Ann may have it.</p>' in refused.text
    script = {"accept": "application/json"}
    told = await library.client.post("/console/books/moby-dick/lend", data=form | {"to": "bob"}, headers=script)
    assert told.json() == {"message": "Only Ann may have it.", "field": "to"}
    forged = await library.client.post("/console/books/moby-dick/lend", data={"to": "ann"})
    assert forged.status_code == 403


async def test_a_file_is_handed_out_to_be_kept(library: Served) -> None:
    """A download is an attachment in a sandbox; where there is none, it is not found."""
    answer = await library.client.get("/console/books/moby-dick/leaves/1")
    assert answer.content == b"moby-dick 1"
    assert answer.headers["content-disposition"] == 'attachment; filename="moby-dick.txt"'
    assert "sandbox" in answer.headers["content-security-policy"]
    assert (await library.client.get("/console/books/moby-dick/leaves/2")).status_code == 404


@pytest.mark.parametrize(
    ("period", "step"),
    [
        (Period(60), 1),
        (Period(300), 1),
        (Period(900), 10),
        (Period(3600), 10),
        (Period(60, NOW - 120), 1),
        (Period(60, NOW - 1200), 10),
    ],
)
def test_columns_are_as_fine_as_they_are_kept(period: Period, step: int) -> None:
    """Single seconds are shown where they are still there, else tens."""
    assert Ask(period).step(NOW) == step


@pytest.mark.parametrize(
    ("given", "period"),
    [
        ({}, Period(300)),
        ({"range": "900"}, Period(900)),
        ({"range": "37", "until": "1795378000.9"}, Period(37, 1_795_378_000.0)),
        ({"range": "1"}, Period(10)),
        ({"range": "99999"}, Period(3600)),
        ({"range": "inf", "until": "-1"}, Period(300)),
    ],
)
def test_time_is_read_from_the_query(given: dict[str, str], period: Period) -> None:
    """A range is kept within what can be shown."""
    assert asked(BookPage, given.get).period == period


def test_what_the_host_does_not_hand_in_has_no_page(served: Served) -> None:
    """A host that runs no load has no page of it; the first page is always there."""
    assert "load" not in pages_for(Host(feed=served.feed, load=NoLoad(), service="Test"))
    assert {"overview", "load"} <= set(pages_for(Host(feed=served.feed, load=served.load, service="Test")))


def test_pages_do_not_get_in_each_others_way() -> None:
    """Names, paths and keys are each one page's own, and every script belongs to a page."""
    for taken in (
        [page.name for page in PAGES],
        [page.path for page in PAGES],
        [page.key for page in PAGES if page.key],
    ):
        assert len(taken) == len(set(taken))
    assert {page.nav for page in PAGES} <= {page.name for page in PAGES}
    assert {script.stem for script in (FOLDER / "pages").glob("*.js")} <= {page.name for page in PAGES}
