"""Whether the load generator and the servers that it asks agree: on every request, and on how long they took.

A client sees more than the server's own clock does: the kernel's way there and back, the client's loop, and the wait until the
server's loop comes to read. nginx at the same rate, which answers in microseconds, shows how much of that is not the server's.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from benchmarks.instance import gatewatch
from benchmarks.load_nginx import nginx
from benchmarks.load_run import asking_hello, load
from benchmarks.table import Row
from observability.model import Distribution, Histogram, decode_snapshot
from observability.model.stream import STREAM_FIELD, STREAM_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from loadgen.results import Result
    from observability.model import Snapshot

SECONDS = float(os.environ.get("BENCH_LOAD_AGREEMENT_SECONDS", "30"))
RATE = 1000.0
CONNECTIONS = 64
PUBLISHED_WITHIN = 3.0
ROUTES = {"/auth/check": 204, "/auth/me": 200}
SCENARIO = f"""
name = "agreement"
users = {CONNECTIONS}
rate_per_minute = {RATE * 60:g}
seconds = {SECONDS:g}
timeout_s = 10
[mix]
check = 1
me = 1
"""


def measure() -> list[Row]:
    """Ask nginx, then Gatewatch, and compare what both sides counted."""
    with tempfile.TemporaryDirectory() as temporary:
        of_nginx, lines = _nginx(Path(temporary))
        result, snapshot = _gatewatch(Path(temporary))
    return [counted_by_nginx(of_nginx, lines), counted_by_us(result, snapshot), times(result, snapshot, of_nginx)]


def _nginx(folder: Path) -> tuple[Result, list[str]]:
    with nginx(folder / "nginx", log=True) as server:
        text = asking_hello(seconds=SECONDS, users=CONNECTIONS, rate=RATE)
        with load(text, server.url, folder / "hello") as ours:
            result = ours.result(SECONDS)
    return result, server.log.read_text().splitlines()


def _gatewatch(folder: Path) -> tuple[Result, Snapshot]:
    with gatewatch(folder / "data") as service:
        with load(SCENARIO, service.url, folder / "checks") as ours:
            result = ours.result(SECONDS)
        time.sleep(PUBLISHED_WITHIN)
        return result, asyncio.run(_newest(service.redis_url))


async def _newest(redis_url: str) -> Snapshot:
    """Return the last that the only worker said of itself."""
    async with Redis.from_url(redis_url) as store:
        entries: Any = await store.xrevrange(STREAM_KEY, count=1)
    [(_, fields)] = entries
    return decode_snapshot(fields[STREAM_FIELD])


def counted_by_nginx(result: Result, lines: Iterable[str]) -> Row:
    """Compare the report with nginx's access log."""
    logged = Counter(line.split()[0] for line in lines)
    [endpoint] = result.endpoints
    return _row_of_counts("nginx's access log", endpoint.statuses, logged)


def counted_by_us(result: Result, snapshot: Snapshot) -> Row:
    """Compare the report with what the service's telemetry counted on the same routes."""
    told = {f"{route} {status}": 0 for route, status in ROUTES.items()}
    for counts in snapshot.requests:
        if counts.route in ROUTES:
            key = f"{counts.route} {counts.status}"
            told[key] = told.get(key, 0) + counts.duration.count
    reported = {
        f"{endpoint.route} {status}": count
        for endpoint in result.endpoints
        for status, count in endpoint.statuses.items()
    }
    return _row_of_counts("Gatewatch's telemetry", reported, told)


def times(result: Result, snapshot: Snapshot, of_nginx: Result) -> Row:
    """Lay the client's service times beside the server's, of the same requests, and beside nginx's as the client sees them."""
    client = _together(endpoint.service for endpoint in result.endpoints)
    server = _together(counts.duration for counts in snapshot.requests if counts.route in ROUTES)
    bare = _together(endpoint.service for endpoint in of_nginx.endpoints)
    mean, own, way = client.mean or 0.0, server.mean or 0.0, bare.mean or 0.0
    return Row(
        what="Service times of GET /auth/check and /auth/me as the client and as the server see them",
        conditions=f"{RATE:,.0f} requests/s, {CONNECTIONS} connections",
        ours=f"{_words(client)}, mean {mean * 1e6:.0f} us",
        rival="Gatewatch's telemetry",
        theirs=(
            f"{_words(server)}, mean {own * 1e6:.0f} us; of the {(mean - own) * 1e6:.0f} us between them nginx takes {way * 1e6:.0f}, "
            f"the rest is the wait for the server's loop, which was late by p99 {_ms(snapshot.runtime.loop_lag, 0.99):.2f} ms"
        ),
        target="never below the server's",
        met=all((client.quantile(q) or 0) >= (server.quantile(q) or 0) for q in (0.5, 0.95, 0.99)) and mean >= own,
        figures={
            "mean_microseconds": mean * 1e6,
            "rival_mean_microseconds": own * 1e6,
            "nginx_mean_microseconds": way * 1e6,
            **{f"p{q * 100:g}_milliseconds": _ms(client, q) for q in (0.5, 0.95, 0.99)},
            **{f"rival_p{q * 100:g}_milliseconds": _ms(server, q) for q in (0.5, 0.95, 0.99)},
        },
    )


def _row_of_counts(whose: str, reported: Mapping[str, int], counted: Mapping[str, int]) -> Row:
    return Row(
        what=f"Requests by status, as the load generator reports them and as {whose} has them",
        conditions=f"{RATE:,.0f} requests/s, {CONNECTIONS} connections",
        ours=_listed(reported),
        rival=whose,
        theirs=_listed(counted),
        target="equal to the request",
        met=dict(reported) == dict(counted),
        figures={"reported": sum(reported.values()), "counted": sum(counted.values())},
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in sorted(counts.items()))


def _together(parts: Iterable[Distribution]) -> Distribution:
    return Histogram.of(*parts).freeze()


def _words(found: Distribution) -> str:
    return ", ".join(f"p{q * 100:g} {_ms(found, q):.2f} ms" for q in (0.5, 0.95, 0.99))


def _ms(found: Distribution, q: float) -> float:
    return (found.quantile(q) or 0.0) * 1000
