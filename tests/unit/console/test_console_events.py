"""The event stream, over a socket."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from unit.console.conftest import RUN

from console import events
from console.events import Broadcast
from console.pages import pages_for
from console.pages.page import Ask, Host
from console.rendering import Renderer
from console.static_files import StaticFiles
from observability.read.detail import Annotation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unit.console.conftest import Served


@asynccontextmanager
async def watching(served: Served, **ask: Any) -> AsyncIterator[AsyncIterator[tuple[int, dict[str, Any]]]]:
    """Open a stream and read its events as (id, data)."""
    async with served.client.stream("GET", "/console/events", **ask) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _read(answer.aiter_lines())


async def _read(lines: AsyncIterator[str]) -> AsyncIterator[tuple[int, dict[str, Any]]]:
    number = 0
    async for line in lines:
        if line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("data: "):
            yield number, json.loads(line[6:])


async def nobody_looks(served: Served) -> None:
    """Wait until the server has heard that all viewers have gone: then a tick passes without a look."""
    async with asyncio.timeout(60):
        looks = -1
        while looks != served.feed.looks:
            looks = served.feed.looks
            await asyncio.sleep(1.1)


async def test_the_stream_says_what_the_page_says(visited: Served) -> None:
    """The parts of the first event are those that the page was made of."""
    page = await visited.page()
    async with watching(visited) as stream:
        number, data = await anext(stream)
    assert {"status", "verdict", "tiles", "routes"} == set(data["parts"])
    for part in data["parts"].values():
        assert part in page
    assert number == visited.feed.seconds[-1]
    assert data["points"]["at"] == visited.feed.seconds
    assert data["points"]["p95"] == [0.1235, 0.1235]


async def test_only_what_changed_is_sent_again(visited: Served) -> None:
    """After the first event come, within two seconds, the parts that changed and the points since."""
    async with watching(visited) as stream:
        await anext(stream)
        visited.feed.shown = msgspec.structs.replace(visited.feed.shown, rate=321.0)
        visited.feed.seconds.append(visited.feed.seconds[-1] + 1)
        later = [await anext(stream), await anext(stream)]  # what was rendered half a second ago is shown once more
    assert [part for _, data in later for part in data["parts"]] == ["tiles"]
    assert "321" in "".join(data["parts"].get("tiles", "") for _, data in later)
    seconds = [second for _, data in later if data["points"] for second in data["points"]["at"]]
    assert seconds == visited.feed.seconds[-1:] == [later[-1][0]]


@pytest.mark.parametrize("how", ["header", "query"])
async def test_a_stream_resumes(visited: Served, how: str) -> None:
    """A viewer that has seconds is sent only later ones, with every part."""
    have = visited.feed.seconds[0]
    ask: dict[str, Any] = {"headers": {"last-event-id": str(have)}} if how == "header" else {"params": {"since": have}}
    async with watching(visited, **ask) as stream:
        _, data = await anext(stream)
    assert data["points"]["at"] == visited.feed.seconds[1:]
    assert len(data["parts"]) == 4
    assert data["data"] == {"marks": []}


async def test_each_page_streams_its_own(visited: Served) -> None:
    """The parts of an event are those of the page that is asked for; a page that is none is told as such."""
    async with watching(visited, params={"page": "workers"}) as stream:
        _, data = await anext(stream)
    assert set(data["parts"]) == {"status", "tiles", "workers", "blocked", "cost", "in_force"}
    assert data["points"]["at"] == []
    answer = await visited.client.get("/console/events", params={"page": "none"})
    assert (answer.status_code, answer.json()) == (404, {"message": "There is no such page."})


async def test_what_happened_is_sent_when_it_happens(visited: Served) -> None:
    """Marks are in the first event, and again when there are more."""
    async with watching(visited) as stream:
        _, data = await anext(stream)
        assert data["data"] == {"marks": []}
        visited.feed.marks.append(Annotation(at=5.0, kind="setting", text="Pool size from 20 to 1"))
        async with asyncio.timeout(60):
            while "marks" not in data["data"] or not data["data"]["marks"]:
                _, data = await anext(stream)
    assert data["data"]["marks"] == [{"at": 5.0, "kind": "setting", "text": "Pool size from 20 to 1", "until": None}]


async def test_a_load_run_is_marked_from_its_start_to_its_end(visited: Served) -> None:
    """One that goes on is marked up to now, one that is over says what came of it, and one of an hour ago is out of sight."""
    now = time.time()
    over = msgspec.structs.replace(
        RUN, run="a", state="done", started=now - 90, elapsed=30.0, updated=now - 40, verdict="PASS"
    )
    old = msgspec.structs.replace(RUN, run="b", state="done", started=now - 3600)
    visited.load.going = [msgspec.structs.replace(RUN, started=now - 10), over, old]
    async with watching(visited) as stream:
        _, data = await anext(stream)
    done, going_on = data["data"]["marks"]
    assert done == {"at": over.started, "kind": "load", "text": "load run smoke, PASS", "until": now - 40}
    assert (going_on["at"], going_on["text"]) == (now - 10, "load run smoke")
    assert going_on["until"] >= now


async def test_viewers_who_ask_for_different_things_are_shown_them(visited: Served) -> None:
    """Two ways of asking for one page are two channels."""
    async with (
        watching(visited, params={"filter": "register"}) as one,
        watching(visited, params={"filter": "login"}) as other,
    ):
        _, registered = await anext(one)
        _, logged_in = await anext(other)
    assert "/auth/register" in registered["parts"]["routes"]
    assert "/auth/register" not in logged_in["parts"]["routes"]


async def test_nonsense_to_resume_from_is_the_beginning(visited: Served) -> None:
    """An id that is no second is answered with everything."""
    async with watching(visited, headers={"last-event-id": "9" * 40}) as stream:
        _, data = await anext(stream)
    assert data["points"]["at"] == visited.feed.seconds


async def test_one_look_serves_all_viewers_and_none_needs_none(visited: Served) -> None:
    """Three viewers cost one look a tick; when the last has gone nobody looks."""
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(watching(visited)) for _ in range(3)]
        for stream in streams:
            await anext(stream)
        looks = visited.feed.looks
        for stream in streams:
            await anext(stream)
        assert visited.feed.looks - looks <= 2
    await nobody_looks(visited)


async def test_stopping_the_server_ends_streams_at_once(visited: Served) -> None:
    """An open stream ends by itself when the server stops, and does not hold it up."""
    async with watching(visited) as stream:
        await anext(stream)
        async with asyncio.timeout(60):
            await visited.stop()
            rest = [event async for event in stream]
    assert rest == []


async def test_streams_are_bounded(visited: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound a viewer is told 503 and when to come again; a place that is left is given away."""
    monkeypatch.setattr(events, "MOST_VIEWERS", 1)
    async with watching(visited) as stream:
        await anext(stream)
        refused = await visited.client.get("/console/events")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
    await nobody_looks(visited)
    async with watching(visited) as stream:
        await anext(stream)


async def test_a_broken_feed_costs_ticks_and_no_stream(visited: Served, caplog: pytest.LogCaptureFixture) -> None:
    """While the feed fails a viewer gets heartbeats; when it recovers, everything."""
    host = Host(feed=visited.feed, load=visited.load, service="Test")
    pages = pages_for(host)
    broadcast = Broadcast(Renderer(host=host, pages=pages, static=StaticFiles(), base="/console"))
    visited.feed.broken = True
    with caplog.at_level(logging.CRITICAL, logger="console.events"):
        async with broadcast.viewer(pages["overview"], Ask()) as stream:
            assert (await anext(stream)).startswith(b":")
            visited.feed.broken = False
            recovered = await anext(stream)
    assert b'"tiles":' in recovered
    assert b"id: %d" % visited.feed.seconds[-1] in recovered
    assert (broadcast.viewers, broadcast.channels) == (0, 0)


async def test_a_new_viewer_is_never_greeted_with_old_figures(visited: Served) -> None:
    """When everybody had gone, the next viewer's first event is a fresh look."""
    async with watching(visited) as stream:
        await anext(stream)
    await nobody_looks(visited)
    visited.feed.shown = msgspec.structs.replace(visited.feed.shown, rate=321.0)
    async with watching(visited) as stream:
        _, data = await anext(stream)
    assert "321" in data["parts"]["tiles"]
