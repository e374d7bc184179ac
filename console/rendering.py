"""Turns pages into HTML: whole at first paint, part by part afterwards, from one set of templates.

What a script puts on the page is therefore what the server would have put there.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import jinja2
import jinja2.meta
import msgspec
from markupsafe import escape

from console import format as shown
from console.drawn import Drawn
from console.marks import Marks
from console.pages.page import PATH_ARGUMENT, RANGES, USUAL_RANGE
from console.sparkline import sparkline
from console.verdict import is_stale
from observability.read.answers import Answers
from observability.read.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from console.pages.page import Ask, Host, Page
    from console.static_files import StaticFiles

TEMPLATES = {path.name: path.read_text("utf-8") for path in (Path(__file__).parent / "templates").iterdir()}
"""Sources by name, read with the code: a service goes on with both as they were when the files change under it."""

_ALONE, _BEFORE_OTHERS = "\ue000", "\ue001"
"""Stand in links for the time that is looked at, where that is all there is to the query, and where more follows."""

_SHARED = 0.5
"""Seconds for which what was rendered is good for others: they ask at the same moment of each second."""

_SAME_FOR_AN_ASK = frozenset({"page", "ask", "url", "link"})
"""What templates are given that is of the address alone."""

SHELL = ("status",)
"""Live parts that every page has."""


class Look(msgspec.Struct, frozen=True):
    """Everything that a page's live parts are rendered from, taken at one moment, and the data of its script."""

    page: str
    context: dict[str, Any]
    data: dict[str, Any]


class Renderer:
    """Renders for one mounted console."""

    def __init__(self, *, host: Host, pages: Mapping[str, Page], static: StaticFiles, base: str) -> None:
        """Compile nothing yet; ``base`` is the path that the console is mounted under."""
        self._host = host
        self._marker = Marks(host)
        self._pages = pages
        self._static = static
        self._base = base
        self._environment = jinja2.Environment(
            loader=jinja2.DictLoader(TEMPLATES),
            auto_reload=False,
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._shared = Answers(time.monotonic)
        self._turns = Turns()
        self._drawn = Drawn()
        self._compiled: dict[str, frozenset[str]] = {}
        """Templates that need no more compiling, with the names of the values that they are rendered from."""
        named = ("duration", "threshold", "span", "rate", "share", "size", "count", "clock", "sentence", "moment")
        self._environment.filters |= {name: getattr(shown, name) for name in named}
        self._environment.filters["sparkline"] = sparkline
        self._environment.globals |= {
            "base": base,
            "service": host.service,
            "files": f"{base}/static/{static.digest}",
            "charts_installed": static.charts_installed,
            "MISSING": shown.MISSING,
            "RANGES": RANGES,
            "navigation": [page for page in pages.values() if page.nav == page.name],
        }

    async def live(self, page: Page, ask: Ask) -> tuple[dict[str, str], dict[str, Any]]:
        """Return a page's live parts by name, and its script's data; raise NothingThere when the address has none.

        They are rendered once for all whose figures are the same, whatever time their charts and links are of.
        """
        alike = page.alike(ask)
        if alike is None:
            look = await self.look(page, ask)
            return await self._parts(page, ask, look.context), look.data
        shared, data = await self._shared.get((page.name, alike), _SHARED, partial(self._rendered, page, alike))
        query = escape(urlencode(_query(_period(ask))))
        alone, before_others = (f"?{query}", f"?{query}&amp;") if query else ("", "?")
        parts = {
            name: html.replace(_ALONE, alone).replace(_BEFORE_OTHERS, before_others) for name, html in shared.items()
        }
        return parts, data | await self._marks(page, ask)

    async def _rendered(self, page: Page, alike: Ask) -> tuple[dict[str, str], dict[str, Any]]:
        """Render a page's parts, with marks where links tell the time that is looked at."""
        look = await self._look(page, alike)
        context = look.context | {
            "url": lambda name, **arguments: self._marked(self._pages.get(name), arguments),
            "link": lambda **changes: self._marked(page, dict(alike.arguments) | changes),
        }
        return await self._parts(page, alike, context), look.data

    async def _parts(self, page: Page, ask: Ask, context: dict[str, Any]) -> dict[str, str]:
        parts = {}
        async with self._turns.work() as work:
            for name in SHELL + page.parts:
                template = f"_{name}.html"
                figures = {
                    each: context[each] for each in self._compiled[template] - _SAME_FOR_AN_ASK if each in context
                }
                render = partial(self._environment.get_template(template).render, context)
                parts[name] = self._drawn.get((page.name, name, ask), figures, render)
                await work.pause()
        return parts

    async def look(self, page: Page, ask: Ask) -> Look:
        """Ask the host for what a page shows; raise NothingThere when the address has none."""
        look = await self._look(page, ask)
        look.data.update(await self._marks(page, ask))
        return look

    async def _marks(self, page: Page, ask: Ask) -> dict[str, Any]:
        if not page.charts:
            return {}
        return {"marks": [msgspec.to_builtins(mark) for mark in await self._marker.within(ask.period)]}

    async def _look(self, page: Page, ask: Ask) -> Look:
        template = f"{page.name}.html"
        if template not in self._compiled:
            # On the event loop it would hold up the API's requests for as long as ten of their targets.
            await asyncio.to_thread(self._compile, template, *(f"_{part}.html" for part in SHELL + page.parts))
        feed = self._host.feed
        view = await feed.view()
        context = {
            "page": page,
            "ask": ask,
            "view": view,
            "stale": is_stale(view),
            "url": lambda name, **arguments: self.url(name, ask, **arguments),
            "link": lambda **changes: self.link(page, ask, **changes),
        } | await page.look(ask)
        return Look(page.name, context, page.data(context))

    def _compile(self, *names: str) -> None:
        """Compile templates, with all that they are made of."""
        for name in names:
            if name not in self._compiled:
                parsed = self._environment.parse(TEMPLATES[name])
                others = tuple(filter(None, jinja2.meta.find_referenced_templates(parsed)))
                self._compile(*others)
                self._environment.get_template(name)
                named = frozenset(jinja2.meta.find_undeclared_variables(parsed))
                self._compiled[name] = named.union(*(self._compiled[other] for other in others))

    def page(
        self,
        look: Look,
        *,
        form_token: str,
        theme: str = "",
        notice: str = "",
        field: str = "",
        given: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """Render a whole page. ``notice`` is a sentence about what the visitor just asked for, ``field`` the input it is about.

        ``given`` is how a form that was refused had been filled in.
        """
        context = look.context | {"form_token": form_token, "theme": theme, "notice": notice, "field": field}
        context["given"] = given
        context["script"] = self._static.find(f"pages/{look.page}.js") is not None
        context.setdefault("step", look.context["ask"].step(look.context["view"].at))
        return self._environment.get_template(f"{look.page}.html").render(context)

    def login(self, *, wrong: bool = False, onward: bool = False) -> str:
        """Render the page that asks for the token; ``onward`` has the browser try the console once more by itself."""
        return self._environment.get_template("login.html").render(wrong=wrong, onward=onward)

    def message(self, title: str, sentence: str) -> str:
        """Render a page that says one thing."""
        return self._environment.get_template("message.html").render(title=title, sentence=sentence)

    def url(self, name: str, ask: Ask, **arguments: object) -> str:
        """Return where a page is, at the time that is looked at, with these arguments; nothing when it does not exist."""
        page = self._pages.get(name)
        return "" if page is None else self._where(page, _period(ask) | arguments)

    def link(self, page: Page, ask: Ask, **changes: object) -> str:
        """Return where the same page is with these changes to its query; None takes an argument away."""
        return self._where(page, _period(ask) | dict(ask.arguments) | changes)

    def _where(self, page: Page, arguments: dict[str, object]) -> str:
        path, query = self._path(page, arguments), urlencode(_query(arguments))
        return path + (f"?{query}" if query else "")

    def _marked(self, page: Page | None, arguments: dict[str, object]) -> str:
        """Return a link to a page with these arguments and a mark for the time; nothing when it does not exist."""
        if page is None:
            return ""
        if arguments.keys() & {"range", "until"}:
            raise ValueError("a link to another time is rendered for one who asks, not for all alike")
        path, query = self._path(page, arguments), urlencode(_query(arguments))
        return path + (_BEFORE_OTHERS + query if query else _ALONE)

    def _path(self, page: Page, arguments: dict[str, object]) -> str:
        """Return the path of a page, and take the arguments that it holds."""
        path = PATH_ARGUMENT.sub(lambda found: quote(str(arguments.pop(found[1], "")), safe=""), page.path)
        return f"{self._base}/{path}".rstrip("/")


def _query(arguments: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments that a query needs: neither those without a value nor the usual range."""
    return {
        name: value
        for name, value in arguments.items()
        if value is not None and value != "" and (name, str(value)) != ("range", str(USUAL_RANGE))
    }


def _period(ask: Ask) -> dict[str, object]:
    until = ask.period.until
    return {"range": ask.period.seconds, "until": None if until is None else int(until)}
