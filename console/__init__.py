"""The live console: a Sanic blueprint that any service can mount.

What is shown comes in through the ports: figures from a feed, load runs from a control. Nothing is opened when this is
imported or mounted; looking starts with the first viewer and ends with the last.
"""

from __future__ import annotations

from sanic import Blueprint

from console.access import Gate
from console.blueprint import Console
from console.events import Broadcast
from console.guard import Guard
from console.pages import Pages
from console.ports import Access, Feed, LoadControl, LoadEndpoint, LoadRefused, LoadRun, NoLoad, ScenarioCard
from console.static_files import StaticFiles

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


def create_console(
    *, feed: Feed, load: LoadControl, access: Access, service: str, url_prefix: str = "/console"
) -> Blueprint:
    """Return a blueprint with the console of ``service`` under ``url_prefix``; raise ValueError for a weak token."""
    base = "/" + url_prefix.strip("/")
    gate = Gate(access)
    static = StaticFiles()
    pages = Pages(feed=feed, load=load, static=static, service=service, base=base)
    console = Console(
        gate=gate,
        guard=Guard(gate=gate, pages=pages, base=base),
        pages=pages,
        load=load,
        static=static,
        broadcast=Broadcast(feed, pages),
        base=base,
    )
    blueprint = Blueprint("console", url_prefix=base)
    console.mount(blueprint)
    return blueprint
