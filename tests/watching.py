"""Workers of one process that are watched: with telemetry through a real Redis, and a console to look into."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from running import running
from visiting import Visit

from app.storage.cache import telemetry_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser
    from running import Service

    from app.settings import Settings


@contextlib.asynccontextmanager
async def watched(settings: Settings) -> AsyncIterator[Service]:
    """Run a worker that publishes what it counts and can be tuned, as in life."""
    redis = telemetry_client(settings.redis_url or "", timeout=5)
    try:
        async with running(settings, redis=redis) as service:
            await service.telemetry.start(redis)
            try:
                yield service
            finally:
                await service.telemetry.stop()
    finally:
        await redis.aclose()


@contextlib.asynccontextmanager
async def looking(browser: Browser, service: Service, settings: Settings, query: str = "") -> AsyncIterator[Visit]:
    """Open the overview of a worker's console in a browser; nothing may go wrong there meanwhile."""
    context = await browser.new_context(viewport={"width": 1440, "height": 1000})
    visit = Visit(await context.new_page())
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    console = f"http://127.0.0.1:{service.port}/console"
    try:
        await visit.page.goto(f"{console}/login?token={settings.console_token}")
        await visit.page.goto(console + query)
        yield visit
    finally:
        await context.close()
    assert visit.complaints == []
