"""The live console: a Sanic blueprint that any service can mount.

What is shown comes in through the ports: figures from a feed, load runs from a control. Nothing is opened when this is
imported or mounted; looking starts with the first viewer and ends with the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanic import Blueprint

from console.access import Gate
from console.blueprint import Console
from console.events import Broadcast
from console.guard import Guard
from console.pages import pages_for
from console.pages.page import Host
from console.ports import Access, Feed, LoadControl, LoadEndpoint, LoadRefused, LoadRun, NoLoad, ScenarioCard
from console.rendering import Renderer
from console.static_files import StaticFiles

if TYPE_CHECKING:
    from console.tuning import LiveSettings, Plans, Trials

__all__ = [
    "Access",
    "Feed",
    "LoadControl",
    "LoadEndpoint",
    "LoadRefused",
    "LoadRun",
    "NoLoad",
    "ScenarioCard",
    "create_console",
]


def create_console(  # noqa: PLR0913 - each port is handed in by its name
    *,
    feed: Feed,
    load: LoadControl,
    access: Access,
    service: str,
    settings: LiveSettings | None = None,
    plans: Plans | None = None,
    trials: Trials | None = None,
    trace_url: str = "",
    url_prefix: str = "/console",
) -> Blueprint:
    """Return a blueprint with the console of ``service`` under ``url_prefix``; raise ValueError for a weak token.

    What is not handed in has no page. ``trace_url`` leads to a trace elsewhere, ``{trace_id}`` in it is filled in.
    """
    base = "/" + url_prefix.strip("/")
    host = Host(
        feed=feed, load=load, service=service, settings=settings, plans=plans, trials=trials, trace_url=trace_url
    )
    gate = Gate(access)
    static = StaticFiles()
    pages = pages_for(host)
    renderer = Renderer(host=host, pages=pages, static=static, base=base)
    console = Console(
        gate=gate,
        guard=Guard(gate=gate, renderer=renderer, base=base),
        pages=pages,
        renderer=renderer,
        static=static,
        broadcast=Broadcast(renderer),
        base=base,
    )
    blueprint = Blueprint("console", url_prefix=base)
    console.mount(blueprint)
    return blueprint
