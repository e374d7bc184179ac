"""The figures on the page beside each duration of the server's, remembered singly."""

from __future__ import annotations

import asyncio
import itertools
import math
import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from running import EMAIL, PASSWORD
from watching import looking, watched

import observability.record.sanic
import observability.telemetry
from app.settings import Settings
from observability.record.sanic import hook
from observability.telemetry import INTERNAL

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Browser
    from running import Service
    from visiting import Visit

    from app.embedded import Server
    from observability.record import Recorder

CONNECTIONS = 8
EACH = {"/auth/check": 400, "/auth/me": 300, "/auth/sessions": 150, "/nowhere": 70}
LOGINS = 60
FAILING = 10

ROWS = """[...document.querySelectorAll("[data-part=routes] tbody tr")].map((row) => ({
  method: row.querySelector(".method").textContent,
  route: row.querySelector(".path").textContent,
  errors: row.cells[2].title,
  samples: row.cells[4].title,
  percentiles: [3, 4, 5].map((cell) => row.cells[cell].textContent),
}))"""
ROUTE = """() => ({
  method: document.querySelector("h1 .method").textContent,
  route: document.querySelector("h1").lastChild.textContent.trim(),
  figures: Object.fromEntries([...document.querySelectorAll("[data-part=summary] .strip > div")].map((one) =>
    [one.querySelector("dt").textContent, [one.querySelector("dd").textContent, one.querySelector("dd").title]])),
  answers: [...document.querySelectorAll(".statuses tbody tr")].map((row) => row.cells[1].textContent),
})"""
SECONDS = {"µs": 1e-6, "ms": 1e-3, "s": 1.0}


class Row(msgspec.Struct):
    """What the page says of a route."""

    method: str
    route: str
    errors: str
    samples: str
    percentiles: list[str]

    @property
    def key(self) -> tuple[str, str]:
        """Its method and route, as they are recorded."""
        return self.method, self.route.replace("(unmatched)", "")

    @property
    def counted(self) -> tuple[int, int]:
        """Return how many requests its figures rest on, and how many failed."""
        failed, asked = whole(r"([\d,]+) of ([\d,]+)", self.errors)
        assert whole(r"of ([\d,]+) requests, within 2.2 %", self.samples) == [asked]
        return asked, failed


class Route(msgspec.Struct):
    """What a route's own page says of it: each figure with its title, and how many answers there were of each class."""

    method: str
    route: str
    figures: dict[str, tuple[str, str]]
    answers: list[str]

    @property
    def row(self) -> Row:
        """The same as a row of the overview has it."""
        asked = sum(whole(r"([\d,]+)", number)[0] for number in self.answers)
        errors = self.figures.get("Errors", ("", "0 failed"))[1].replace("failed", f"of {asked}")
        percentiles = [self.figures[name] for name in ("p50", "p95", "p99") if name in self.figures]
        samples = {title for _, title in percentiles}
        return Row(self.method, self.route, errors, " or ".join(samples), [text for text, _ in percentiles])


class Took:
    """What each request of every worker took, and how many failed, by method and route."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], list[float]] = {}
        self.failed: Counter[tuple[str, str]] = Counter()

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Remember one, unless its route is none of the service's figures."""
        if not route.startswith(INTERNAL):
            self.seconds.setdefault((method, route), []).append(seconds)
            self.failed[method, route] += status == 0 or status >= 500

    @property
    def counted(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Return how many there were, and how many failed."""
        return {key: (len(seconds), self.failed[key]) for key, seconds in self.seconds.items()}


class Clock:
    """Stands in for ``time`` where requests are recorded, and remembers its readings."""

    def __init__(self) -> None:
        self.readings: list[float] = []

    def perf_counter(self) -> float:
        """Read the clock."""
        self.readings.append(time.perf_counter())
        return self.readings[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@pytest.fixture
def took(monkeypatch: pytest.MonkeyPatch) -> Took:
    """Remember every request by itself."""
    took, clock = Took(), Clock()

    def remembering(recorder: Recorder) -> Any:
        protocol: Any = hook(recorder)

        class Raw(protocol):  # type: ignore[misc] # it is made at run time
            """Sees each request once, whichever way it goes."""

            def answered(self, series: Any, *more: Any) -> None:
                begun = self.first_byte
                clock.readings.clear()
                super().answered(series, *more)
                method, route, status, _ = series.key
                took.note(method, route, status, clock.readings[0] - begun)

            def _counted(self, http: Any) -> Any:
                seconds = self.last_write - self.first_byte
                series = super()._counted(http)
                if series is not None:
                    method, route, status, _ = series.key
                    took.note(method, route, status, seconds)
                return series

            def _record(self, http: Any, method: str, route: str, status: int, error: str, ended: float) -> None:
                took.note(method, route, status, ended - self.first_byte)
                super()._record(http, method, route, status, error, ended)

        return Raw

    monkeypatch.setattr(observability.telemetry, "hook", remembering)
    monkeypatch.setattr(observability.record.sanic, "time", clock)
    return took


async def test_the_page_says_what_the_server_did(
    took: Took, browser: Browser, database_url: str, redis: Server, data_dir: Path
) -> None:
    """Of two workers, not one request more or less; p50, p95 and p99 within 2.2 % of the durations of those very ranks.

    The overview says so of every route, and the page of a route of itself.
    """
    settings = Settings(
        database_url=database_url,
        redis_url=redis.url,
        data_dir=data_dir,
        workers=2,
        secret="s" * 43,
        console_token="c" * 43,
        rate_limits=False,
        redis_timeout=5.0,
        hash_max_time=60.0,
        query_timeout=3.0,
    )
    async with watched(settings) as one, watched(settings) as two:
        who = await one.person()
        await asyncio.gather(use(one, who), use(two, who))
        await fail(two, who)
        async with looking(browser, two, settings, "?range=900") as visit:
            rows: list[Row] = []
            async with asyncio.timeout(180):
                while {row.key: row.counted for row in rows} != took.counted:
                    await asyncio.sleep(0.2)
                    rows = msgspec.convert(await visit.page.evaluate(ROWS), list[Row])
            pages = [await page_of(visit, row, took) for row in rows if row.route in {"/auth/sessions", "/auth/login"}]
    assert len(pages) == 2
    asked, failed = map(sum, zip(*took.counted.values(), strict=True))
    assert asked == 2 * (sum(EACH.values()) + LOGINS) + 2 + FAILING
    assert failed >= FAILING
    for row in (*rows, *pages):
        ordered = sorted(took.seconds[row.key])
        for q, text in zip((0.5, 0.95, 0.99), row.percentiles, strict=True):
            raw = ordered[math.ceil(q * len(ordered)) - 1]
            shown, rounding = read(text)
            assert abs(shown - raw) <= 0.0219 * raw + rounding, f"{row.route} p{q * 100:g}: {text}, and was {raw}"


async def page_of(visit: Visit, row: Row, took: Took) -> Row:
    """Return what a route's own page says when its last ten seconds are over, and it has heard of every request."""
    where = await visit.page.evaluate("location.href.replace(/console.*/, 'console/route')")
    await visit.page.goto(f"{where}?range=900&method={row.method}&route={row.route}")
    async with asyncio.timeout(180):
        while True:
            told = msgspec.convert(await visit.page.evaluate(ROUTE), Route).row
            if told.percentiles and told.counted == took.counted[row.key]:
                return told
            await asyncio.sleep(0.2)


async def use(service: Service, who: dict[str, str]) -> None:
    """Ask for everything so many times, over several connections at a time."""
    waiting = [path for path, times in EACH.items() for _ in range(times)]
    waiting = [path for paths in itertools.zip_longest(*(waiting[n::7] for n in range(7))) for path in paths if path]

    async def ask() -> None:
        while waiting:
            await service.client.get(waiting.pop(), headers=who)

    async def log_in() -> None:
        for _ in range(LOGINS):
            await service.client.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})

    await asyncio.gather(log_in(), *(ask() for _ in range(CONNECTIONS)))


async def fail(service: Service, who: dict[str, str]) -> None:
    """Ask for what cannot be answered in time, while somebody else has the table."""
    async with service.sql.transaction():
        await service.sql.execute("LOCK TABLE sessions")
        asked = (service.client.get("/auth/sessions", headers=who) for _ in range(FAILING))
        assert {answer.status_code for answer in await asyncio.gather(*asked)} == {503}


def whole(pattern: str, text: str) -> list[int]:
    """Read the numbers in a text that is otherwise as expected."""
    found = re.fullmatch(pattern, text)
    assert found, text
    return [int(number.replace(",", "")) for number in found.groups()]


def read(text: str) -> tuple[float, float]:
    """Read a duration as seconds, with half of the last digit that is shown."""
    number, unit = text.split()
    decimals = len(number.partition(".")[2])
    return float(number.replace(",", "")) * SECONDS[unit], 0.5 * 10**-decimals * SECONDS[unit]
