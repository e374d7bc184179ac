"""Sanic itself, to stand beside ours: run as ``python -m benchmarks.rivals.bare PORT``, one process."""

from __future__ import annotations

import os
import sys

from redis.asyncio import Redis
from sanic import HTTPResponse, Request, Sanic, json

app = Sanic("rival", configure_logging=False)


@app.get("/json")
async def bare(_: Request) -> HTTPResponse:
    """Answer with a little JSON: what Sanic itself costs."""
    return json({"status": "ok"})


@app.get("/naive")
async def naive(request: Request) -> HTTPResponse:
    """Read one key in the usual way: what a session check costs that is written without thinking."""
    client: Redis = request.app.ctx.redis
    await client.get("session:" + request.headers["authorization"][-43:])
    return HTTPResponse(status=204)


@app.before_server_start
async def connect(application: Sanic, _: object) -> None:  # type: ignore[type-arg] # Sanic's own default
    """Open the client of the naive route."""
    application.ctx.redis = Redis.from_url(os.environ["REDIS_URL"])


if __name__ == "__main__":
    app.run(port=int(sys.argv[1]), single_process=True, access_log=False, motd=False)
