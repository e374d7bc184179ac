"""What the console's first page weighs, and that a browser has timed it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from benchmarks.viewers import MOST_PAGE, first_page

if TYPE_CHECKING:
    from playwright.async_api import Browser
    from visiting import Instance

LONG = 30.0
"""Seconds that a page may take on a machine that does much else; ``make bench ROWS=viewers`` says what it takes."""


async def _ask(client: httpx.AsyncClient) -> None:
    """Give the charts something to show."""
    while True:
        await client.get("/auth/me")
        await asyncio.sleep(0.1)


async def test_the_first_page_is_light(instance: Instance, browser: Browser) -> None:
    """With nothing cached, all its files are 150 kB over the wire at most; it is painted before its charts are drawn."""
    async with httpx.AsyncClient(base_url=instance.url) as client:
        asking = asyncio.create_task(_ask(client))
        opened = await first_page(browser, instance.url, instance.token)
        asking.cancel()
    assert 10_000 < opened.octets <= MOST_PAGE
    assert 0 < opened.paint < LONG
    assert 0 < opened.charts < LONG
