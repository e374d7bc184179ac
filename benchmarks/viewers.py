"""What people who keep the console open cost the API, and how soon a first page is there.

The same worker answers the same checks with ten viewers and with none, in turn. A viewer is a connection that reads the
event stream of a page.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import httpx
import msgspec
import psutil
import uvloop
from playwright.async_api import async_playwright

from benchmarks.driver import SECONDS, drive, rounds
from benchmarks.instance import BOTH, DRIVER_CORE, SERVER_CORE, Instance, gatewatch
from benchmarks.people import asking, of_ours
from benchmarks.table import Row, paired

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser

    from benchmarks.driver import Cost

TOKENS, CONNECTIONS, VIEWERS = 1000, 32, 10
CONSOLE_TOKEN = "c" * 43
MOST_CPU, MOST_BYTES, MOST_PAGE, MOST_PAINT = 1.03, 1_000_000, 150_000, 1.0

ALIKE = ("page=overview",) * VIEWERS
APART = tuple(f"page=overview&range={seconds}" for seconds in (60, 120, 180, 240, 300, 600, 900, 1800, 2700, 3600))
"""Ten who look at the same, and ten of whom each looks at another time."""

FIRST_CHART = """addEventListener("DOMContentLoaded", () => {
  const seen = new MutationObserver(() => {
    if (![...document.querySelectorAll(".u-value")].some((value) => /\\d/.test(value.textContent))) return;
    seen.disconnect();
    requestAnimationFrame(() => performance.mark("charts"));
  });
  seen.observe(document.documentElement, { childList: true, characterData: true, subtree: true });
})"""
"""Marks the moment when a chart is drawn and has figures."""

TIMING = """async () => {
  const began = (name) => performance.getEntriesByName(name)[0]?.startTime / 1000;
  while (!began("charts") || !began("first-contentful-paint")) await new Promise((later) => setTimeout(later, 50));
  const files = ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind));
  const octets = files.reduce((sum, { transferSize }) => sum + transferSize, 0);
  return { paint: began("first-contentful-paint"), charts: began("charts"), octets };
}"""
"""What the browser says of a page: seconds since it was asked for, and bytes over the wire, heads included."""


class Opened(msgspec.Struct, frozen=True):
    """The browser's own timing of a page that was opened with nothing cached."""

    paint: float
    charts: float
    octets: float


def measure() -> list[Row]:
    """Measure, and return a row for each question."""
    os.sched_setaffinity(0, {DRIVER_CORE})
    with tempfile.TemporaryDirectory() as folder:
        settings = {"GATEWATCH_CONSOLE_TOKEN": CONSOLE_TOKEN}
        with gatewatch(Path(folder), (SERVER_CORE,), **settings) as ours:
            rows = uvloop.run(_measure(ours))
            return [*rows, asyncio.run(_opened(ours))]  # Playwright does not end under uvloop


async def _measure(ours: Instance) -> list[Row]:
    payloads = asking("/auth/check", await of_ours(ours, TOKENS))
    rows: list[Row] = []
    for what, asked in (("of one page", ALIKE), ("of ten views", APART)):
        rows += await _watched(ours, payloads, what, asked)
    return rows


async def _watched(ours: Instance, payloads: list[bytes], what: str, asked: tuple[str, ...]) -> list[Row]:
    """Measure with viewers and without, in turn."""
    with_viewers: list[Cost] = []
    without: list[Cost] = []
    held: list[float] = []
    for counts in rounds():
        alone = await _drive(ours, payloads)
        before = _resident(ours)
        async with viewers(ours, asked):
            watched = await _drive(ours, payloads)
            grown = (_resident(ours) - before) / VIEWERS
        if counts:
            without.append(alone)
            with_viewers.append(watched)
            held.append(grown)
    row = paired(f"GET /auth/check with {VIEWERS} viewers {what}", "none", CONNECTIONS, with_viewers, without, MOST_CPU)
    octets = median(held)
    memory = Row(
        what=f"memory of each of {VIEWERS} viewers {what}",
        conditions="resident, more than without them",
        ours=f"{octets / 1000:,.0f} kB",
        target=f"at most {MOST_BYTES / 1e6:g} MB",
        met=octets <= MOST_BYTES,
        figures={"viewer_bytes": octets, "most_viewer_bytes": max(held)},
    )
    return [row, memory]


async def _drive(ours: Instance, payloads: list[bytes]) -> Cost:
    return await drive(ours.url, payloads, status=204, pid=ours.pid, connections=CONNECTIONS, seconds=SECONDS)


def _resident(ours: Instance) -> float:
    return float(psutil.Process(ours.pid).memory_info().rss)


@contextlib.asynccontextmanager
async def viewers(ours: Instance, asked: tuple[str, ...]) -> AsyncIterator[None]:
    """Keep streams open, each read as it comes, once every one of them has begun."""
    async with httpx.AsyncClient(base_url=ours.url, timeout=30) as client:
        await client.get("/console/login", params={"token": CONSOLE_TOKEN})
        begun = [asyncio.Event() for _ in asked]

        async def read(query: str, started: asyncio.Event) -> None:
            async with client.stream("GET", f"/console/events?{query}") as stream:
                stream.raise_for_status()
                async for _ in stream.aiter_raw():
                    started.set()

        reading = [asyncio.create_task(read(query, started)) for query, started in zip(asked, begun, strict=True)]
        try:
            await asyncio.gather(*(started.wait() for started in begun))
            yield
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)


async def _opened(ours: Instance) -> Row:
    program = shutil.which("chromium")
    if program is None:
        raise RuntimeError("there is no chromium on PATH")
    os.sched_setaffinity(0, set(BOTH))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        tries = [(counts, await first_page(browser, ours.url, CONSOLE_TOKEN)) for counts in rounds()]
        await browser.close()
    opened = [one for counts, one in tries if counts]
    paint, charts, octets = (median(getattr(one, name) for one in opened) for name in ("paint", "charts", "octets"))
    return Row(
        what="the console's first page, nothing cached, in Chromium",
        conditions=f"median of {len(opened)}",
        ours=f"{octets / 1000:.0f} kB; first paint {paint * 1000:.0f} ms, charts {charts * 1000:.0f} ms",
        target=f"at most {MOST_PAGE / 1000:g} kB, charts within {MOST_PAINT:g} s",
        met=octets <= MOST_PAGE and charts <= MOST_PAINT,
        figures={"page_bytes": octets, "first_paint_seconds": paint, "charts_seconds": charts},
    )


async def first_page(browser: Browser, url: str, token: str) -> Opened:
    """Open the console as somebody does whose browser has none of it yet, and return what that browser timed."""
    visitor = await browser.new_context()
    try:
        await visitor.request.get(f"{url}/console/login", params={"token": token})
        page = await visitor.new_page()
        await page.add_init_script(FIRST_CHART)
        await page.goto(f"{url}/console")
        async with asyncio.timeout(60):
            return msgspec.convert(await page.evaluate(TIMING), Opened)
    finally:
        await visitor.close()
