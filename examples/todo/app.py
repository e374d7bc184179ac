"""A to-do list that knows nothing of the service next door, with its telemetry and its console.

python examples/todo/app.py, then see README.md beside it.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path

import msgspec
from redis.asyncio import Redis
from sanic import HTTPResponse, Request, Sanic, json

import observability
from console import Access, NoLoad, create_console

app = Sanic("todo")
app.ctx.items = []

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


@app.get("/items/<number:int>")
async def item(request: Request, number: int) -> HTTPResponse:
    """Show one thing to do, or fail as programs do."""
    return json(request.app.ctx.items[number])


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "8080")), workers=int(os.environ.get("WORKERS", "1")))
