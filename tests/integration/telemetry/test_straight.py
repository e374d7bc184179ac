"""Most requests are counted on a straight path, once their kind has been met; nothing is lost on it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from sanic import Blueprint, HTTPResponse, Request, text

from observability.model import PARTS, KeptTrace, Snapshot
from observability.record import Recorder
from observability.record.current import LOOP, REDIS, SQL, spend
from observability.record.keeping import Keeper
from observability.record.sanic import hook, note_error
from observability.record.trace import HeadSampling

if TYPE_CHECKING:
    from collections.abc import Sequence

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BLOCKED, WAITED = 0.004, 0.002
REQUESTS = 40


def recording(ratio: float) -> tuple[Recorder, list[KeptTrace]]:
    """Return a recorder that keeps this share by chance, and what it keeps."""
    recorder, kept = Recorder(instance="test"), list[KeptTrace]()
    recorder.sampling = HeadSampling(ratio)
    recorder.keeper = Keeper(instance="test", worker="one")
    recorder.keeper.sink = lambda trace, _: kept.append(trace)
    return recorder, kept


def kinds_of_requests(recorder: Recorder) -> Blueprint:
    """Return a page that can be asked in each of the ways that a record tells apart."""
    page = Blueprint("kinds")

    @page.route("/kinds", methods=["GET", "HEAD", "POST"])  # type: ignore[untyped-decorator] # Sanic's own
    async def kinds(request: Request) -> HTTPResponse:
        began, asked = time.perf_counter(), request.args
        if "error" in asked:
            note_error(request, asked["error"][0])
        if "blocked" in asked:
            recorder.stalls.note(began - BLOCKED / 2, began + BLOCKED / 2)
            await asyncio.sleep(BLOCKED)
        for name, part in (("redis", REDIS), ("sql", SQL)):
            if name in asked:
                await asyncio.sleep(2 * WAITED)  # timers may be early
                spend(part, began, began + WAITED)
        return text("x" * int(asked.get("size", "0")))

    return page


def figures(snapshot: Snapshot) -> dict[str, float]:
    """Return what was counted, each figure by a name of its own."""
    counted: dict[str, float] = {}
    for of in snapshot.requests:
        counted[f"{of.method} {of.route} {of.status} {of.error}"] = of.duration.count
    for anatomy in snapshot.anatomy:
        name = f"{anatomy.method} {anatomy.route}"
        counted[f"{name} requests"] = sum(band.count for band in anatomy.bands)
        for part in (REDIS, SQL):
            counted[f"{name} {PARTS[part]}"] = sum(band.parts[part] for band in anatomy.bands)
    for sizes in snapshot.bodies:
        name = f"{sizes.method} {sizes.route}"
        counted[f"{name} received"] = sizes.request.total
        counted[f"{name} sent"] = sizes.response.total
    return counted


async def ask(site: Any, raw: Sequence[bytes], met: dict[Any, Any] | None = None) -> None:
    """Send requests over one connection, each once the one before it was recorded; forget each time what was ``met``."""
    before = _count(site)
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    for number, each in enumerate(raw, 1):
        if met is not None:
            met.clear()
        writer.write(each)
        async with asyncio.timeout(60):
            while site.recorder.in_flight or _count(site) < before + number:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.002)
    writer.close()


def _count(site: Any) -> int:
    return sum(of.duration.count for of in site.recorder.requests.freeze())


async def test_the_later_of_a_kind_are_recorded_as_the_first(serve: Any) -> None:
    """Errors, bodies, what was waited for, and those that their callers want kept."""
    recorder, kept = recording(0.0)
    asked = ["", "?size=100", "?error=odd", "?redis=1", "?sql=1", "?redis=1&sql=1", "?size=7"]
    raw = [f"GET /kinds{each} HTTP/1.1\r\nHost: test\r\n\r\n".encode() for each in asked]
    raw += [b"HEAD /kinds?size=9 HTTP/1.1\r\nHost: test\r\n\r\n"]
    raw += [b"POST /kinds HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody"]
    raw += [f"GET /kinds HTTP/1.1\r\nHost: test\r\nTraceparent: {PARENT}\r\n\r\n".encode()]
    raw += [b"GET /stream HTTP/1.1\r\nHost: test\r\n\r\n", b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n"]
    begun, protocol = time.monotonic(), hook(recorder)
    async with serve(recorder, protocol, kinds_of_requests(recorder)) as site:
        await ask(site, raw, protocol.plain)  # type: ignore[attr-defined]  # it has
        first = figures(recorder.snapshot())
        assert [trace.why for trace in kept] == ["asked"]
        for rounds in (2, 3):
            await ask(site, raw)
            assert figures(recorder.snapshot()) == pytest.approx({name: rounds * of for name, of in first.items()})
        assert [(trace.why, trace.parent_id) for trace in kept] == [("asked", PARENT.split("-")[2])] * 3
    stayed = time.monotonic() - begun
    events = next(of for of in recorder.requests.freeze() if of.route == "/events")
    assert stayed - events.duration.total > 3 * 0.39  # what came after the first byte


async def test_a_blocked_loop_is_in_the_anatomy_of_every_request(serve: Any) -> None:
    """Half of it was before the request."""
    recorder, _ = recording(0.0)
    async with serve(recorder, None, kinds_of_requests(recorder)) as site:
        await ask(site, [b"GET /kinds?blocked=1 HTTP/1.1\r\nHost: test\r\n\r\n"] * 4)
        [anatomy] = recorder.snapshot().anatomy
    loop = sum(band.parts[LOOP] for band in anatomy.bands)
    assert loop * (1 + 1e-9) >= 4 * BLOCKED / 2


async def test_requests_that_chance_chose_are_kept_with_the_next_snapshot(serve: Any) -> None:
    """Each once, as long as it was counted, under an identity of its own; as many are listed as a second has room for."""
    recorder, kept = recording(1.0)
    async with serve(recorder, None, kinds_of_requests(recorder)) as site:
        await ask(site, [b"GET /kinds HTTP/1.1\r\nHost: test\r\n\r\n"] * REQUESTS)
        snapshot = recorder.snapshot()
    [counts] = snapshot.requests
    assert counts.duration.count == len({trace.trace_id for trace in kept}) == len(kept) == REQUESTS
    assert sum(trace.seconds for trace in kept) == pytest.approx(counts.duration.total)
    assert snapshot.kept.sampled == REQUESTS
    assert {trace.why for trace in kept} == {"sampled"}
