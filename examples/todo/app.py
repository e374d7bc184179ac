"""A to-do list that knows nothing of the service next door, with its telemetry and its console.

python examples/todo/app.py, then see README.md beside it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from functools import partial
from pathlib import Path

import msgspec
from opentelemetry import trace
from redis.asyncio import Redis
from sanic import HTTPResponse, Request, Sanic, json

import observability
from console import Access, NoLoad, create_console

app = Sanic("todo")
app.ctx.items = []
log = logging.getLogger("todo")
tracer = trace.get_tracer("todo")

# --- telemetry and console -------------------------------------------------------------------------------------------
REDIS_URL = os.environ.get("REDIS_URL")
telemetry = observability.install(
    app,
    slo=Path(__file__).with_name("slo.toml"),
    redis=partial(Redis.from_url, REDIS_URL) if REDIS_URL else None,  # lets workers know of each other
)
access = Access(os.environ.get("CONSOLE_TOKEN", "a-token-only-for-trying-it"), frozenset({"localhost", "127.0.0.1"}))
app.blueprint(create_console(feed=telemetry.feed, load=NoLoad(), access=access, service="Todo"))
# ---------------------------------------------------------------------------------------------------------------------


class Item(msgspec.Struct):
    """What is to be done."""

    text: str


@app.exception(msgspec.DecodeError)
async def unreadable(_: Request, error: msgspec.DecodeError) -> HTTPResponse:
    """Say what is wrong with what was sent: no fault of ours, so no failure."""
    return json({"error": str(error)}, status=400)


@app.get("/items")
async def items(request: Request) -> HTTPResponse:
    """List what is to be done."""
    return json(request.app.ctx.items)


@app.post("/items")
async def add(request: Request) -> HTTPResponse:
    """Add something to do; thinking about it takes a moment."""
    await asyncio.sleep(0.02)
    request.app.ctx.items.append(msgspec.json.decode(request.body, type=Item).text)
    return json(None, status=201)


@app.get("/plan")
async def plan(request: Request) -> HTTPResponse:
    """Think about what to do first, which is a span of its own and a line in the log."""
    things = request.app.ctx.items
    trace.get_current_span().set_attribute("todo.items", len(things))
    with tracer.start_as_current_span("think it over") as span:
        span.set_attribute("todo.method", "most urgent first")
        await asyncio.sleep(0.3)
    log.warning("planned %d things", len(things))
    return json(things[:1])


@app.get("/report")
async def report(request: Request) -> HTTPResponse:
    """Do what no handler should: hold everybody up, for a tenth of a second."""
    return json(print_out(request.app.ctx.items))


def print_out(things: list[str]) -> str:
    """Print things, as slowly as an old printer."""
    time.sleep(0.1)
    return ", ".join(things)


@app.get("/items/<number:int>")
async def item(request: Request, number: int) -> HTTPResponse:
    """Show one thing to do, or fail as programs do."""
    return json(request.app.ctx.items[number])


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "8080")), workers=int(os.environ.get("WORKERS", "1")))
