"""Turns pages into HTML: whole at first paint, part by part afterwards, from one set of templates.

What a script puts on the page is therefore what the server would have put there.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import jinja2
import jinja2.meta
import msgspec

from console import format as shown
from console.pages.page import PATH_ARGUMENT, RANGES, USUAL_RANGE
from console.sparkline import sparkline
from console.verdict import is_stale

if TYPE_CHECKING:
    from collections.abc import Mapping

    from console.pages.page import Ask, Host, Page
    from console.static_files import StaticFiles

TEMPLATES = Path(__file__).parent / "templates"
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
        self._pages = pages
        self._static = static
        self._base = base
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._compiled: set[str] = set()
        """Templates that need no more compiling."""
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

    async def look(self, page: Page, ask: Ask) -> Look:
        """Ask the host for what a page shows; raise NothingThere when the address has none."""
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
        data = page.data(context)
        if page.charts:
            data["marks"] = [msgspec.to_builtins(mark) for mark in await feed.annotations(ask.period)]
        return Look(page.name, context, data)

    def _compile(self, *names: str) -> None:
        """Compile templates, with all that they are made of."""
        for name in names:
            if name not in self._compiled:
                source = (TEMPLATES / name).read_text()
                self._compile(*filter(None, jinja2.meta.find_referenced_templates(self._environment.parse(source))))
                self._environment.get_template(name)
                self._compiled.add(name)

    def parts(self, look: Look) -> dict[str, str]:
        """Render live parts, by name."""
        names = SHELL + self._pages[look.page].parts
        return {name: self._environment.get_template(f"_{name}.html").render(look.context) for name in names}

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
        if str(arguments.get("range")) == str(USUAL_RANGE):
            del arguments["range"]
        path = PATH_ARGUMENT.sub(lambda found: quote(str(arguments.pop(found[1], "")), safe=""), page.path)
        query = urlencode({name: value for name, value in arguments.items() if value is not None and value != ""})
        return f"{self._base}/{path}".rstrip("/") + (f"?{query}" if query else "")


def _period(ask: Ask) -> dict[str, object]:
    until = ask.period.until
    return {"range": ask.period.seconds, "until": None if until is None else int(until)}
