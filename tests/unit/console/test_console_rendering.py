"""What the console does before it renders."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import jinja2
import pytest

from console.drawn import Drawn
from console.pages import pages_for
from console.pages.page import Ask, Host, asked
from console.rendering import Renderer
from console.static_files import StaticFiles

if TYPE_CHECKING:
    from unit.console.conftest import Served


@pytest.mark.parametrize("name", ["overview", "cache", "database", "alerts", "workers", "traces"])
async def test_no_template_is_compiled_on_the_event_loop(
    visited: Served, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiling takes long, so it is done elsewhere, once, and for all that the page will need."""
    threads: list[int] = []
    compiled = jinja2.Environment.compile

    def noting(*args: Any, **named: Any) -> Any:
        threads.append(threading.get_ident())
        return compiled(*args, **named)

    monkeypatch.setattr(jinja2.Environment, "compile", noting)
    host = Host(feed=visited.feed, load=visited.load, service="Test")
    pages = pages_for(host)
    renderer = Renderer(host=host, pages=pages, static=StaticFiles(), base="/console")
    for _ in range(2):
        look = await renderer.look(pages[name], Ask())
        assert renderer.page(look, form_token="")
        assert await renderer.live(pages[name], Ask())
    assert len(threads) >= 5
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("name", ["overview", "cache"])
@pytest.mark.parametrize("query", [{}, {"range": "77"}, {"range": "900", "until": "1795378000"}, {"filter": "login"}])
async def test_what_is_rendered_once_for_many_is_what_each_would_see(
    visited: Served, name: str, query: dict[str, str]
) -> None:
    """Parts that viewers of other times share are those of the viewer's own page, links and all."""
    host = Host(feed=visited.feed, load=visited.load, service="Test")
    pages = pages_for(host)
    renderer = Renderer(host=host, pages=pages, static=StaticFiles(), base="/console")
    await renderer.live(pages[name], asked(pages[name], {"range": "60"}.get))
    ask = asked(pages[name], query.get)
    parts, data = await renderer.live(pages[name], ask)
    look = await renderer.look(pages[name], ask)
    page = renderer.page(look, form_token="")
    assert parts.keys() == {"status", *pages[name].parts}
    assert all(part in page for part in parts.values())
    assert data == look.data


def test_a_part_is_rendered_anew_when_its_figures_are_others() -> None:
    """Equal figures are not rendered twice for one who asks; others are, and so is a list that may have changed where it is."""
    drawn, rendered = Drawn(), list[str]()

    def get(asked: str, figures: dict[str, Any]) -> str:
        def render() -> str:
            rendered.append(asked)
            return f"{asked} {figures}"

        return drawn.get(asked, figures, render)

    assert get("a", {"rate": (1, 2)}) == get("a", {"rate": (1, 2)}) == "a {'rate': (1, 2)}"
    assert rendered == ["a"]
    assert get("b", {"rate": (1, 2)}) == "b {'rate': (1, 2)}"
    assert get("a", {"rate": (1, 3)}) == "a {'rate': (1, 3)}"
    assert rendered == ["a", "b", "a"]
    runs = [1]
    get("a", {"runs": runs})
    runs.append(2)
    assert get("a", {"runs": runs}) == "a {'runs': [1, 2]}"
