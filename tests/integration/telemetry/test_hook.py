"""The request hook over real sockets: exactly one record a request, however the request goes."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from typing import Any

_PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def _leave_after(site: Any, raw: bytes) -> None:
    """Send a request, wait until its handler runs, and vanish."""
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(raw)
    async with asyncio.timeout(60):
        await site.entered.wait()
    writer.transport.abort()


async def test_keep_alive_requests_are_counted_each(site: Any) -> None:
    """Five requests on one connection are five records, in flight none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    for n in range(5):
        writer.write(site.get(f"/users/{n}", last=n == 4))
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(1) == str(n).encode()
    writer.close()
    assert await site.settled(5) == {("GET", "/users/{user_id}", 200, ""): 5}


async def test_pipelined_requests_are_counted_each(site: Any) -> None:
    """Requests sent in one write are as many records, each under its own route."""
    raw = site.get("/plain", last=False) * 3 + site.get("/users/7", last=False) + site.get("/plain")
    assert (await site.exchange(raw)).count(b"HTTP/1.1 200 OK") == 5
    assert await site.settled(5) == {("GET", "/plain", 200, ""): 4, ("GET", "/users/{user_id}", 200, ""): 1}


async def test_a_thousand_paths_are_one_series(site: Any) -> None:
    """Paths that match nothing share the empty route, whatever they are."""
    raw = b"".join(site.get(f"/nothing/{n}", last=n == 999) for n in range(1000))
    await site.exchange(raw)
    assert await site.settled(1000) == {("GET", "", 404, ""): 1000}


async def test_a_wrong_method_is_recorded_as_405(site: Any) -> None:
    """A path asked with the wrong method is one record of 405."""
    await site.exchange(site.get("/body"))
    assert await site.settled(1) == {("GET", "", 405, ""): 1}


async def test_an_unknown_method_is_other(site: Any) -> None:
    """A method outside the standard ones opens no series of its own."""
    await site.exchange(site.get("/plain").replace(b"GET", b"BREW"))
    await site.exchange(site.get("/plain").replace(b"GET", b"STEEP"))
    assert await site.settled(2) == {("_OTHER", "", 405, ""): 2}


async def test_a_malformed_request_is_one_400(site: Any) -> None:
    """What is not HTTP is answered 400 and recorded once."""
    answer = await site.exchange(b"this is not http\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert await site.settled(1) == {("_OTHER", "", 400, ""): 1}


async def test_a_failing_handler_is_one_500(site: Any) -> None:
    """A handler's exception is recorded with the status that the client got."""
    await site.exchange(site.get("/broken"))
    assert await site.settled(1) == {("GET", "/broken", 500, ""): 1}


async def test_a_noted_error_is_the_records_error(site: Any) -> None:
    """The code that a handler notes tells this 401 from others."""
    await site.exchange(site.get("/refused"))
    assert await site.settled(1) == {("GET", "/refused", 401, "credentials_rejected"): 1}


async def test_a_body_counts_from_its_first_byte(site: Any) -> None:
    """A slowly sent body belongs to the request's duration, and 100-continue is not its response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"POST /body HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    await asyncio.sleep(0.2)
    writer.write(b"body")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    writer.close()
    assert await site.settled(1) == {("POST", "/body", 200, ""): 1}
    assert site.recorder.requests.freeze()[0].duration.total >= 0.19


async def test_a_streamed_response_lasts_until_its_last_write(site: Any) -> None:
    """A response in parts is one record, as long as all its parts took."""
    assert b"part" in await site.exchange(site.get("/stream"))
    assert await site.settled(1) == {("GET", "/stream", 200, ""): 1}
    assert site.recorder.requests.freeze()[0].duration.total >= 0.04


async def test_an_untimed_route_is_timed_to_its_first_byte(site: Any) -> None:
    """An event stream's record is not as long as its viewer stayed."""
    begun = time.monotonic()
    await site.exchange(site.get("/events"))
    stayed = time.monotonic() - begun
    assert await site.settled(1) == {("GET", "/events", 200, ""): 1}
    assert stayed - site.recorder.requests.freeze()[0].duration.total > 0.39  # what came after the first byte


async def test_a_client_that_leaves_is_disconnected(site: Any) -> None:
    """A request whose client vanished before the response has no status and says why."""
    await _leave_after(site, site.get("/slow"))
    assert await site.settled(1) == {("GET", "/slow", 0, "disconnected"): 1}


async def test_a_client_that_leaves_mid_response_keeps_the_status(site: Any) -> None:
    """A response that was begun and cut by the client is one record, with its status."""
    await _leave_after(site, site.get("/endless"))
    assert await site.settled(1) == {("GET", "/endless", 200, "disconnected"): 1}


async def test_clients_that_vanish_at_once_are_each_counted(site: Any) -> None:
    """A hundred clients that vanish right after sending, in whatever state, are a hundred records and none in flight."""
    for n in range(100):
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(site.get("/slow"))
        await asyncio.sleep(0.001 * (n % 3))
        writer.transport.abort()
    assert await site.settled(100) == {("GET", "/slow", 0, "disconnected"): 100}


async def test_a_client_that_leaves_mid_head_is_counted(site: Any) -> None:
    """Half a request head and then nothing is one record, and leaves nothing in flight."""
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /plain HT")
    await writer.drain()
    async with asyncio.timeout(60):
        while not site.recorder.in_flight:  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.005)
    writer.transport.abort()
    assert await site.settled(1) == {("_OTHER", "", 0, "disconnected"): 1}


async def test_a_connection_without_a_request_is_no_record(site: Any) -> None:
    """Connecting and leaving counts nothing; the request of the next connection does."""
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.close()
    await writer.wait_closed()
    await site.exchange(site.get("/plain"))
    assert await site.settled(1) == {("GET", "/plain", 200, ""): 1}


async def test_a_websocket_is_one_record(site: Any) -> None:
    """A websocket is one record with status 101, as long as its handshake."""
    key = base64.b64encode(b"0123456789abcdef").decode()
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13")
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(site.get("/socket", *upgrade, last=False))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    await asyncio.sleep(0.2)
    writer.write(b"\x81\x82\x00\x00\x00\x00hi")
    assert await reader.readexactly(4) == b"\x81\x02hi"
    writer.write(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
    async with asyncio.timeout(60):
        await reader.read()
    stayed = time.monotonic() - begun
    writer.close()
    assert await site.settled(1) == {("GET", "/socket", 101, ""): 1}
    assert stayed - site.recorder.requests.freeze()[0].duration.total > 0.19  # what came after the handshake


async def test_the_callers_trace_id_is_the_requests(site: Any) -> None:
    """A valid traceparent names the request; without one every request has an id of its own."""
    assert (await site.exchange(site.get("/plain", f"traceparent: {_PARENT}"))).endswith(_PARENT.split("-")[1].encode())
    first, second = [(await site.exchange(site.get("/plain")))[-32:] for _ in range(2)]
    assert first != second
    assert re.fullmatch(rb"[0-9a-f]{32}", first)
