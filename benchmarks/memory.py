"""Whether a worker grows: its resident memory over half a million requests of every common kind, once it has warmed up."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import tempfile
import time
from math import sqrt
from pathlib import Path
from statistics import linear_regression
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import msgspec
import psutil

from app.security.tokens import issue
from benchmarks.driver import WrongAnswer, connection_to
from benchmarks.instance import DRIVER_CORE, gatewatch
from benchmarks.people import logging_in, of_ours, register
from benchmarks.table import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.instance import Instance
    from loadgen.client import Connection

REQUESTS = int(os.environ.get("BENCH_MEMORY_REQUESTS", "500000"))
WARM_UP = REQUESTS // 5
WARM_SECONDS = float(os.environ.get("BENCH_MEMORY_WARM_SECONDS", "380"))
"""A worker keeps what the console shows of the last five minutes and a bit; until then it grows by that, asked or not."""

SESSIONS = 20_000
PASSWORDS = 20
CONNECTIONS = 32
ROUND = 250
"""Requests of a round: a login, a logout, a change of profile, a list of sessions, a token that nobody has; the rest are reads."""

ROUNDS_A_SAMPLE = 20
MOST_GROWTH = 1.0
MEBIBYTE = 1 << 20


class Asked(NamedTuple):
    """A request, and the status that it must be answered with."""

    payload: bytes
    status: int


BUSY = 503
MOST_BUSY = 0.01
"""Share of requests that may be turned away on a machine that has other things to do; more is no measurement."""


class Slope(NamedTuple):
    """A least-squares slope and half of its 95 % interval."""

    value: float
    margin: float


def measure() -> list[Row]:
    """Send everything to one worker and watch it."""
    os.sched_setaffinity(0, {DRIVER_CORE})
    with tempfile.TemporaryDirectory() as temporary, gatewatch(Path(temporary) / "data") as ours:
        return [asyncio.run(_measure(ours))]


async def _measure(ours: Instance) -> Row:
    rounds = mix(
        [person.token for person in await of_ours(ours, SESSIONS)],
        [person.token for person in await of_ours(ours, (REQUESTS + WARM_UP) // ROUND)],
        await register(ours, PASSWORDS, "example.org"),
    )
    connections, worker = [connection_to(ours.url) for _ in range(CONNECTIONS)], psutil.Process(ours.pid)
    samples, busy, settled = [], 0, time.monotonic() + WARM_SECONDS
    try:
        for _ in range(WARM_UP // ROUND):
            await _send(connections, next(rounds))
        await asyncio.sleep(max(0.0, settled - time.monotonic()))
        for number, asked in enumerate(rounds):
            busy += await _send(connections, asked)
            if number % ROUNDS_A_SAMPLE == 0:
                samples.append((number * ROUND / 100_000, worker.memory_info().rss / MEBIBYTE))
    finally:
        for connection in connections:
            connection.close()
    if busy > REQUESTS * MOST_BUSY:
        raise WrongAnswer(f"{busy} requests were turned away")
    return row(samples, busy)


async def _send(connections: Sequence[Connection], asked: Sequence[Asked]) -> int:
    """Send a round; return how many requests were turned away."""
    turn, busy = iter(asked), 0

    async def follow(connection: Connection) -> None:
        nonlocal busy
        for payload, status in turn:
            answer = await connection.exchange(payload)
            if answer.status == BUSY:
                busy += 1
            elif answer.failure or answer.status != status:
                raise WrongAnswer(f"{payload[:40]!r} was answered {answer.status} {answer.failure}, not {status}")

    async with asyncio.TaskGroup() as group:
        for connection in connections:
            group.create_task(follow(connection))
    return busy


def mix(tokens: Sequence[str], doomed: Sequence[str], emails: Sequence[str]) -> Iterator[list[Asked]]:
    """Yield rounds of requests: those that read go over all tokens in turn, each logout ends another session."""
    token, email = itertools.cycle(tokens), itertools.cycle(emails)
    for ended in doomed:
        yield [
            Asked(logging_in("/auth/login", next(email), form=False), 200),
            Asked(_request("POST", "/auth/logout", ended), 204),
            Asked(_request("PUT", "/users/profile", next(token), {"bio": secrets.token_urlsafe()}), 200),
            Asked(_request("GET", "/auth/sessions", next(token)), 200),
            Asked(_request("GET", "/auth/check", issue(uuid4())[0]), 401),
            *(
                Asked(_request("GET", path, next(token)), status)
                for path, status in itertools.islice(
                    itertools.cycle((("/auth/check", 204), ("/auth/me", 200))), ROUND - 5
                )
            ),
        ]


def _request(method: str, path: str, token: str, body: dict[str, str] | None = None) -> bytes:
    content = b"" if body is None else msgspec.json.encode(body)
    kind = "" if body is None else "Content-Type: application/json\r\n"
    length = "" if method == "GET" else f"Content-Length: {len(content)}\r\n"
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{kind}{length}\r\n"
    return head.encode() + content


def row(samples: Sequence[tuple[float, float]], busy: int = 0) -> Row:
    """Say what the samples come to: hundreds of thousands of requests sent, and mebibytes; some were turned away."""
    grown = slope(samples)
    first, last = samples[0][1], samples[-1][1]
    return Row(
        what=f"Resident memory of a worker over {REQUESTS:,} requests, {SESSIONS:,} different tokens",
        conditions=f"{CONNECTIONS} connections",
        ours=f"{grown.value:+.2f} ± {grown.margin:.2f} MiB per 100,000; {first:.1f} MiB at first, {last:.1f} at last",
        target=f"at most {MOST_GROWTH:g} MiB per 100,000",
        met=grown.value + grown.margin <= MOST_GROWTH,
        figures={
            "mebibytes_per_100000": grown.value,
            "margin": grown.margin,
            "first_mebibytes": first,
            "last_mebibytes": last,
            "turned_away": busy,
        },
    )


def slope(points: Sequence[tuple[float, float]]) -> Slope:
    """Fit a line to (x, y); the interval takes the residuals for independent, which they are not quite."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    value, start = linear_regression(xs, ys)
    rest = sum((y - start - value * x) ** 2 for x, y in points)
    middle = sum(xs) / len(xs)
    return Slope(value, 1.96 * sqrt(rest / (len(xs) - 2) / sum((x - middle) ** 2 for x in xs)))
