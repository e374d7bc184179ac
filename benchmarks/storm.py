"""Session checks while people log in without pause, on both cores with two workers, and fastapi-users under the same storm."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec
import uvloop

from benchmarks.driver import PAIRS, SECONDS, Cost, WrongAnswer, connection_to, drive, pace
from benchmarks.instance import BOTH, Instance, fastapi_users, gatewatch
from benchmarks.login import UNLIMITED
from benchmarks.people import asking, confirm, logging_in, of_fastapi_users, of_ours, register
from benchmarks.rivals import FASTAPI_USERS
from benchmarks.table import Row, ratio_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKENS, CONNECTIONS, CLIENTS = 1000, 32, 8
MOST_P95, LEAST_SHARE = 0.025, 0.5
REFUSED, BREATH = (429, 503), 0.1
"""Who is turned away with one of these comes back after so many seconds."""

UNDER = f"{len(BOTH)} cores, {len(BOTH)} workers, {TOKENS:,} tokens, {CONNECTIONS} connections"


class Peer(msgspec.Struct, frozen=True):
    """A server, everybody's check, and the logins of its storm."""

    server: Instance
    checks: list[bytes]
    status: int
    logins: list[bytes]


class Weather(msgspec.Struct):
    """What a storm did: logins, and how many were turned away instead, a second."""

    logins: float = 0
    refused: float = 0


def measure() -> list[Row]:
    """Measure, and return a row of throughput, one of a steady rate, and one beside fastapi-users."""
    with (
        tempfile.TemporaryDirectory() as folder,
        gatewatch(Path(folder) / "data", BOTH, GATEWATCH_WORKERS=str(len(BOTH)), **UNLIMITED) as ours,
        fastapi_users(ours, BOTH, len(BOTH)) as theirs,
    ):
        return uvloop.run(_measure(ours, theirs))


async def _measure(ours: Instance, theirs: Instance) -> list[Row]:
    people, others = await of_ours(ours, TOKENS), await of_fastapi_users(theirs, TOKENS)
    emails, addresses = await register(ours, CLIENTS, "load.invalid"), await register(theirs, CLIENTS, "example.org")
    us = Peer(
        ours,
        asking("/auth/check", people),
        204,
        [logging_in("/auth/login", email, form=False) for email in emails],
    )
    them = Peer(
        theirs, asking("/users/me", others), 200, [logging_in("/auth/login", email, form=True) for email in addresses]
    )
    rounds = [await _round(us, them) for _ in range(PAIRS + 1)][1:]  # the first round warms up
    await confirm(ours, "/auth/me", people)
    await confirm(theirs, "/users/me", others)
    return _rows(rounds)


class Round(msgspec.Struct, frozen=True):
    """One measurement of everything, ours and theirs."""

    calm: Cost
    stormy: Cost
    weather: Weather
    steady: Cost
    steady_weather: Weather
    their_calm: Cost
    their_stormy: Cost
    their_weather: Weather


async def _round(us: Peer, them: Peer) -> Round:
    calm = await _check(us)
    async with _storm(us) as weather:
        stormy = await _check(us)
    their_calm = await _check(them)
    async with _storm(us) as steady_weather:
        steady = await _check(us, calm.rate * LEAST_SHARE)
    async with _storm(them) as their_weather:
        their_stormy = await _check(them)
    return Round(calm, stormy, weather, steady, steady_weather, their_calm, their_stormy, their_weather)


async def _check(peer: Peer, rate: float | None = None) -> Cost:
    """Check in a closed loop, or at a rate."""
    server = peer.server
    if rate is None:
        return await drive(
            server.url, peer.checks, status=peer.status, pid=server.pid, connections=CONNECTIONS, seconds=SECONDS
        )
    return await pace(
        server.url, peer.checks, status=peer.status, pid=server.pid, connections=CONNECTIONS, seconds=SECONDS, rate=rate
    )


@contextlib.asynccontextmanager
async def _storm(peer: Peer) -> AsyncIterator[Weather]:
    """Log in without pause, every client over a connection of its own, until the block ends; what it did is told then."""
    done = refused = 0

    async def client(login: bytes) -> None:
        nonlocal done, refused
        with contextlib.closing(connection_to(peer.server.url)) as connection:
            while True:
                answer = await connection.exchange(login)
                if answer.status in REFUSED:
                    refused += 1
                    await asyncio.sleep(BREATH)
                elif answer.status == 200:
                    done += 1
                else:
                    raise WrongAnswer(f"{peer.server.url}: a login was answered {answer.status} {answer.failure}")

    weather = Weather()
    clients = [asyncio.create_task(client(login)) for login in peer.logins]
    await asyncio.sleep(SECONDS / 3)  # until it blows evenly
    began, done, refused = time.perf_counter(), 0, 0
    try:
        yield weather
        seconds = time.perf_counter() - began
        weather.logins, weather.refused = done / seconds, refused / seconds
    finally:
        for task in clients:
            task.cancel()
        ended = await asyncio.gather(*clients, return_exceptions=True)
    for error in ended:
        if isinstance(error, WrongAnswer):
            raise error


def _rows(rounds: list[Round]) -> list[Row]:
    calm, stormy = [each.calm for each in rounds], [each.stormy for each in rounds]
    theirs, steady = [each.their_stormy for each in rounds], [each.steady for each in rounds]
    share = ratio_of([cost.rate for cost in stormy], [cost.rate for cost in calm])
    held = ratio_of([cost.rate for cost in steady], [cost.rate for cost in calm])
    beside = ratio_of([cost.rate for cost in stormy], [cost.rate for cost in theirs])
    p95 = median(cost.p95 for cost in steady)
    storm = f"while {CLIENTS} clients log in without pause"
    at_rest = _told([each.their_calm for each in rounds])
    return [
        Row(
            what=f"GET /auth/check, closed loop, {storm}",
            conditions=UNDER,
            ours=f"{_told(stormy)}; {_weather([each.weather for each in rounds])}",
            rival="the same without logins",
            theirs=_told(calm),
            target=f"requests/s at least {LEAST_SHARE:g} times",
            met=share["ratio"] >= LEAST_SHARE,
            figures={**_figures("", stormy), **_figures("rival_", calm)},
            **share,
        ),
        Row(
            what=f"GET /auth/check at {LEAST_SHARE:.0%} of its closed loop's rate, {storm}",
            conditions=f"{UNDER}; from the intended time",
            ours=f"{_told(steady)}; {_weather([each.steady_weather for each in rounds])}",
            rival="closed loop without logins",
            theirs=_told(calm),
            target=f"p95 at most {MOST_P95 * 1e3:.0f} ms",
            met=p95 <= MOST_P95,
            figures=_figures("", steady),
            **held,
        ),
        Row(
            what=f"GET /auth/check, closed loop, {storm}",
            conditions=UNDER,
            ours=_told(stormy),
            rival=f"{FASTAPI_USERS} GET /users/me under the same storm (without it {at_rest})",
            theirs=f"{_told(theirs)}; {_weather([each.their_weather for each in rounds])}",
            figures={**_figures("", stormy), **_figures("rival_", theirs)},
            **beside,
        ),
    ]


def _told(runs: list[Cost]) -> str:
    middle, high = median(run.p50 for run in runs) * 1e3, median(run.p95 for run in runs) * 1e3
    return f"{median(run.rate for run in runs):,.0f}/s, p50 {middle:.1f} ms, p95 {high:.1f} ms"


def _weather(storms: list[Weather]) -> str:
    logins, refused = median(each.logins for each in storms), median(each.refused for each in storms)
    return f"{logins:.1f} logins/s" + (f", {refused:.1f} refused" if refused else "")


def _figures(prefix: str, runs: list[Cost]) -> dict[str, float]:
    return {
        f"{prefix}requests_per_second": median(run.rate for run in runs),
        f"{prefix}p50_seconds": median(run.p50 for run in runs),
        f"{prefix}p95_seconds": median(run.p95 for run in runs),
    }
