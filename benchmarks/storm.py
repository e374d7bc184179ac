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

from benchmarks.driver import SECONDS, Cost, WrongAnswer, connection_to, drive, pace, rounds
from benchmarks.instance import BOTH, Instance, fastapi_users, gatewatch
from benchmarks.people import asking, confirm, logging_in, of_fastapi_users, of_ours, register
from benchmarks.rivals import FASTAPI_USERS, RivalMissing
from benchmarks.table import Row, ratio_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKENS, CONNECTIONS, CLIENTS = 1000, 32, 8
MOST_P95, LEAST_SHARE = 0.025, 0.5
REFUSED, BREATH = (429, 503), 0.1
"""Who is turned away with one of these comes back after so many seconds."""

CHECK, STORM = "GET /auth/check", f"while {CLIENTS} clients log in without pause"
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


class Trial(msgspec.Struct, frozen=True):
    """A server's checks in a closed loop, and then in a storm."""

    calm: Cost
    stormy: Cost
    weather: Weather


def measure() -> list[Row]:
    """Measure, and return a row of throughput, one of a steady rate, and one beside fastapi-users."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        workers = len(BOTH)
        ours = stack.enter_context(gatewatch(Path(folder) / "data", BOTH, GATEWATCH_WORKERS=str(workers)))
        try:
            theirs = stack.enter_context(fastapi_users(ours, BOTH, workers))
        except RivalMissing as missing:
            return [*uvloop.run(_measure(ours, None)), Row(what=f"{CHECK}, {STORM}", rival=str(missing))]
        return uvloop.run(_measure(ours, theirs))


async def _measure(ours: Instance, theirs: Instance | None) -> list[Row]:
    us, them = await _ours(ours), await _theirs(theirs) if theirs else None
    closed: list[Trial] = []
    steady: list[Trial] = []
    rival: list[Trial] = []
    for counts in rounds():
        first = await _trial(us)
        third = await _trial(them) if them else None
        second = await _trial(us, LEAST_SHARE)
        if counts:
            closed.append(first)
            steady.append(second)
            rival += [third] if third else []
    return [*_alone(closed, steady), *([_beside(closed, rival)] if rival else [])]


async def _ours(server: Instance) -> Peer:
    people, emails = await of_ours(server, TOKENS), await register(server, CLIENTS, "load.invalid")
    confirm(server, "/auth/check", people)
    logins = [logging_in("/auth/login", email, form=False) for email in emails]
    return Peer(server, asking("/auth/check", people), 204, logins)


async def _theirs(server: Instance) -> Peer:
    people, emails = await of_fastapi_users(server, TOKENS), await register(server, CLIENTS, "example.org")
    confirm(server, "/users/me", people)
    logins = [logging_in("/auth/login", email, form=True) for email in emails]
    return Peer(server, asking("/users/me", people), 200, logins)


async def _trial(peer: Peer, share: float | None = None) -> Trial:
    calm = await _check(peer)
    async with _storm(peer) as weather:
        stormy = await _check(peer, share and calm.rate * share)
    return Trial(calm, stormy, weather)


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


def _alone(closed: list[Trial], steady: list[Trial]) -> list[Row]:
    share = ratio_of([trial.stormy.rate for trial in closed], [trial.calm.rate for trial in closed])
    held = ratio_of([trial.stormy.rate for trial in steady], [trial.calm.rate for trial in steady])
    p95 = median(trial.stormy.p95 for trial in steady)
    return [
        Row(
            what=f"{CHECK}, closed loop, {STORM}",
            conditions=UNDER,
            ours=_in_storm(closed),
            rival="the same without logins",
            theirs=_told([trial.calm for trial in closed]),
            target=f"requests/s at least {LEAST_SHARE:g} times",
            met=share["ratio"] >= LEAST_SHARE,
            figures=_figures(closed),
            **share,
        ),
        Row(
            what=f"{CHECK} at half its closed loop's rate, {STORM}",
            conditions=f"{UNDER}; from the intended time",
            ours=_in_storm(steady),
            rival="closed loop without logins",
            theirs=_told([trial.calm for trial in steady]),
            target=f"p95 at most {MOST_P95 * 1e3:.0f} ms",
            met=p95 <= MOST_P95,
            figures=_figures(steady),
            **held,
        ),
    ]


def _beside(closed: list[Trial], rival: list[Trial]) -> Row:
    calm = _told([trial.calm for trial in rival])
    return Row(
        what=f"{CHECK}, closed loop, {STORM}",
        conditions=UNDER,
        ours=_in_storm(closed),
        rival=f"{FASTAPI_USERS} GET /users/me under the same storm (without it {calm})",
        theirs=_in_storm(rival),
        figures={**_figures(closed), **{f"rival_{name}": value for name, value in _figures(rival).items()}},
        **ratio_of([trial.stormy.rate for trial in closed], [trial.stormy.rate for trial in rival]),
    )


def _in_storm(trials: list[Trial]) -> str:
    logins, refused = (median(getattr(trial.weather, name) for trial in trials) for name in ("logins", "refused"))
    turned_away = f", {refused:.1f}/s turned away" if refused else ""
    return f"{_told([trial.stormy for trial in trials])}; {logins:.1f} logins/s{turned_away}"


def _told(runs: list[Cost]) -> str:
    middle, high = median(run.p50 for run in runs) * 1e3, median(run.p95 for run in runs) * 1e3
    return f"{median(run.rate for run in runs):,.0f}/s, p50 {middle:.1f} ms, p95 {high:.1f} ms"


def _figures(trials: list[Trial]) -> dict[str, float]:
    return {
        "requests_per_second": median(trial.stormy.rate for trial in trials),
        "p50_seconds": median(trial.stormy.p50 for trial in trials),
        "p95_seconds": median(trial.stormy.p95 for trial in trials),
        "calm_requests_per_second": median(trial.calm.rate for trial in trials),
        "logins_per_second": median(trial.weather.logins for trial in trials),
        "logins_refused_per_second": median(trial.weather.refused for trial in trials),
    }
