"""Pages and their live parts, rendered from one set of templates.

A page names its parts; each is a template of its own, rendered into the page at first paint and sent again, whenever
it changed, over the event stream. What a script puts on the page is therefore what the server would have put there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import msgspec

from console import format as shown
from console.ports import LoadRun
from console.tiles import tiles
from console.verdict import is_stale, judge
from observability.read.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from console.ports import Feed, LoadControl, ScenarioCard
    from console.static_files import StaticFiles

TEMPLATES = Path(__file__).parent / "templates"
OVERVIEW = ("status", "verdict", "tiles", "routes", "caches", "workers", "actions", "load")
"""The live parts of the overview; part X is the template ``_X.html``."""


class Look(msgspec.Struct, frozen=True):
    """Everything that the live parts are rendered from, taken at one moment."""

    view: View
    refusal: str | None
    runs: tuple[LoadRun, ...]

    def context(self) -> dict[str, Any]:
        """Return what the templates call these things."""
        active = next((run for run in self.runs if run.active), None)
        return {
            "view": self.view,
            "stale": is_stale(self.view),
            "verdict": judge(self.view),
            "tiles": tiles(self.view),
            "refusal": self.refusal,
            "active": active,
            "last": next((run for run in self.runs if not run.active), None),
        }


class Pages:
    """Renders for one mounted console."""

    def __init__(self, *, feed: Feed, load: LoadControl, static: StaticFiles, service: str, base: str) -> None:
        """Compile nothing yet; ``base`` is the path that the console is mounted under."""
        self._feed = feed
        self._load = load
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "duration": shown.duration,
            "threshold": shown.threshold,
            "span": shown.span,
            "rate": shown.rate,
            "share": shown.share,
            "size": shown.size,
            "count": shown.count,
            "clock": shown.clock,
            "sentence": shown.sentence,
            "moment": shown.moment,
        }
        self._environment.globals |= {
            "base": base,
            "service": service,
            "files": f"{base}/static/{static.digest}",
            "charts_installed": static.charts_installed,
            "MISSING": shown.MISSING,
        }

    async def look(self) -> Look:
        """Ask the host for the present figures and the latest runs: the one going on and the one before."""
        return Look(await self._feed.view(), self._load.refusal(), tuple(await self._load.runs(2)))

    def parts(self, look: Look, names: tuple[str, ...] = OVERVIEW) -> dict[str, str]:
        """Render live parts, by name."""
        context = look.context()
        return {name: self._environment.get_template(f"_{name}.html").render(context) for name in names}

    def overview(self, look: Look, *, form_token: str, notice: str = "") -> str:
        """Render the whole first page. ``notice`` is a sentence about what the visitor just asked for."""
        context = look.context() | {"form_token": form_token, "notice": notice, "scenarios": self._scenarios()}
        return self._environment.get_template("overview.html").render(context)

    def login(self, *, wrong: bool = False, onward: bool = False) -> str:
        """Render the page that asks for the token; ``onward`` has the browser try the console once more by itself."""
        return self._environment.get_template("login.html").render(wrong=wrong, onward=onward)

    def message(self, title: str, sentence: str) -> str:
        """Render a page that says one thing."""
        return self._environment.get_template("message.html").render(title=title, sentence=sentence)

    def _scenarios(self) -> tuple[ScenarioCard, ...]:
        return tuple(self._load.scenarios())


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Return the parts that are not what they were."""
    return {name: html for name, html in after.items() if before.get(name) != html}
