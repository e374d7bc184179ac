"""HTTP as strangers may write it: read strictly, bounded in size, time and number."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from running import Serve, Service

HOST = b"Host: x\r\n"


async def say(service: Service, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send bytes on a connection of their own; return all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause)
        async with asyncio.timeout(60):
            return await to_the_end(reader)
    finally:
        writer.transport.abort()


async def to_the_end(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes before the server closes; who still writes then is reset."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            answer += data
    return answer


def statuses(answer: bytes) -> list[int]:
    """Return the status of every answer in a stream of them."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


CHUNKED = (
    b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)

MALFORMED = {
    "space before a colon": b"GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\n",
    "folded line": b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n 2\r\n\r\n",
    "no Host": b"GET /health/live HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /health/live HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "two lengths": b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length and chunks": b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length that is none": b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: two\r\n\r\n{}",
    "a signed length": b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}",
    "a negative length": b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n\r\n{}",
    "another coding": b"POST /auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    "a bad chunk": b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "no version": b"GET /health/live\r\nHost: x\r\n\r\n",
    "another version": b"GET /health/live HTTP/2.0\r\nHost: x\r\n\r\n",
    "a prefixed chunk size": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"2\r\n{}XX0\r\n\r\n",
    "a length in other digits": "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: \u0662\r\n\r\n{}".encode(),
    "a length behind a space of another script": "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length:\u00a02\r\n\r\n{}".encode(),
    "chunks behind a space of another script": CHUNKED.replace(b": chunked", b":\xc2\x85chunked")
    + b"2\r\n{}\r\n0\r\n\r\n",
    "chunks of HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0").replace(b"Host: x", b"Connection: keep-alive")
    + b"2\r\n{}\r\n0\r\n\r\n",
    "a line feed in a chunk's extension": CHUNKED + b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    "a size line without end": CHUNKED + b"2;" + b"a" * 100,
    "two credentials": b"GET /auth/check HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    "a target that is no path": b"GET foo HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target with a broken address": b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tunnel": b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in the target": b"GET /a\x00b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL": b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
    "a bare line feed": b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: a\nX-B: b\r\n\r\n",
    "a header without a colon": b"GET /health/live HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "a method that is no token": b"G{T /health/live HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("bytes_sent", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_not_http_is_a_400_and_the_end_of_the_connection(
    service: Service, bytes_sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is a problem document, what follows on the connection is never taken for a request, and no log tells of it."""
    answer = await say(service, bytes_sent + b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert statuses(answer) == [400]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    assert json.loads(body)["code"] == "invalid-request"
    assert not caplog.records


async def test_what_is_http_is_answered(service: Service) -> None:
    """Old, chunked, pipelined and oddly cased requests are all fine."""
    asked = (
        b"GET /health/live HTTP/1.1\r\nhOsT:x\r\nX-Empty:\r\n\r\n"
        b'POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2;a="b"\r\n{}\r\n0\r\n\r\n'
        b"GET /health/live HTTP/1.0\r\n\r\n"
    )
    assert statuses(await say(service, asked)) == [200, 422, 200]


async def test_who_asks_before_sending_chunks_is_told_to_go_on(service: Service) -> None:
    """Client and server must not wait for each other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(CHUNKED.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"))
    async with asyncio.timeout(60):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"2\r\n{}\r\n0\r\n\r\n")
        assert statuses(await reader.read()) == [422]
    writer.transport.abort()


async def test_a_body_that_nobody_asked_for_fills_no_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever sends one gets the answer, and the next, and leaves no trace of it."""
    asked = b"GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    last = asked.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n")
    assert statuses(await say(service, asked * 2 + last)) == [200] * 3
    assert not caplog.records


async def test_a_head_that_is_too_large_is_refused(service: Service) -> None:
    """A client cannot make us hold more than a head's worth of it."""
    answer = await say(service, b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n")
    assert statuses(answer) == [413]


LOGIN = b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

TRICKLES: dict[str, tuple[bytes, bytes, list[int]]] = {
    "a head": (b"GET /health/live HTTP/1.1\r\n", b"X", [408]),
    "a body": (LOGIN + b"Content-Length: 60000\r\n\r\n", b" ", [408]),
    "a body of which nothing comes": (LOGIN + b"Content-Length: 60000\r\n\r\n", b"", [408]),
    "a body to be a socket": (LOGIN + b"Upgrade: websocket\r\nContent-Length: 60000\r\n\r\n", b" ", [408]),
    "chunks": (CHUNKED, b"1\r\n \r\n", [408]),
    "a body that nobody asked for": (b"GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", b" ", [200]),
    "a body for nobody": (b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", b" ", [404]),
}  # fmt: skip


async def test_a_trickle_does_not_buy_time(service: Service) -> None:
    """A byte every now and then, without end, is cut off: a head has its five seconds once, and so has a body."""

    async def trickle(first: bytes, drop: bytes, expected: list[int]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(first)
        begin = asyncio.get_running_loop().time()
        ending = asyncio.create_task(to_the_end(reader))
        while not ending.done() and asyncio.get_running_loop().time() - begin < 60:
            writer.write(drop)
            await asyncio.wait([ending], timeout=0.2)
        assert ending.done()
        assert asyncio.get_running_loop().time() - begin > 4
        assert statuses(await ending) == expected
        writer.transport.abort()

    await asyncio.gather(*(trickle(*each) for each in TRICKLES.values()))


async def test_one_connection_too_many_is_closed_at_once(serve: Serve) -> None:
    """Past the bound a connection gets nothing; those inside the bound are served, and places become free again."""
    async with serve(max_connections=3) as service:
        inside = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert await say(service, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n") == b""
        reader, writer = inside[0]
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert statuses(await reader.read()) == [200]
        last = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        async with asyncio.timeout(60):
            while not (answer := await say(service, last)):  # noqa: ASYNC110 - the place is free when the server has heard
                await asyncio.sleep(0.05)
        assert statuses(answer) == [200]
        for _, opened in inside:
            opened.transport.abort()
