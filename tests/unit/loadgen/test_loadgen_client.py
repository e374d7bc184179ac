"""The client against servers that do all that servers do, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from loadgen.client import BODY_LIMIT, Connection, Phases, header
from loadgen.target import Target

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serving = Callable[[Handler], AbstractAsyncContextManager[Target]]

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


async def _asked(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"\r\n\r\n")


def _always(content: bytes, *, then_close: bool = False) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await _asked(reader)
            writer.write(content)
            if then_close:
                return

    return handler


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Connection]]:
    """Return a maker of connections, which are closed at the end."""
    made: list[Connection] = []

    def make(target: Target, timeout: float = 5.0, phases: Phases | None = None) -> Connection:
        made.append(Connection(target, timeout=timeout, phases=phases))
        return made[-1]

    yield make
    for connection in made:
        connection.close()


async def test_a_connection_is_kept(serving: Serving, connect: Callable[..., Connection]) -> None:
    """Three exchanges go over one connection, and only the first one pays for connecting."""
    connections = 0

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await _always(OK)(reader, writer)

    async with serving(counting) as target:
        connection = connect(target)
        answers = [await connection.exchange(REQUEST) for _ in range(3)]
    assert connections == 1
    assert [(a.status, a.body, a.failure) for a in answers] == [(200, b"hi", "")] * 3
    assert [a.connect > 0 for a in answers] == [True, False, False]
    assert all(a.begun <= a.sent <= a.first <= a.last for a in answers)


@pytest.mark.parametrize(
    "content",
    [OK, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", b"HTTP/1.1 200 OK\r\n\r\nhi"],
    ids=["kept, then closed", "announced", "ended by closing"],
)
async def test_a_connection_that_the_server_closed_is_opened_again(
    serving: Serving, connect: Callable[..., Connection], content: bytes
) -> None:
    """However the server ends a connection after a whole answer, the next request gets a new one."""
    async with serving(_always(content, then_close=True)) as target:
        connection = connect(target)
        for _ in range(3):
            answer = await connection.exchange(REQUEST)
            assert (answer.status, answer.body, answer.failure) == (200, b"hi", "")
            assert answer.connect > 0
            await asyncio.sleep(0.01)  # The close is on its way through the kernel.


async def test_chunks_and_interim_answers_are_understood(serving: Serving, connect: Callable[..., Connection]) -> None:
    """A 103 before the answer is no answer, and chunks are put together however they arrive."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await _asked(reader)
            parts = (
                b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-",
                b"Encoding: chunked\r\n\r\n3\r\nabc\r",
                b"\n2\r\nde\r\n0\r\n",
                b"\r\n",
            )
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.002)

    async with serving(drip) as target:
        connection = connect(target)
        answers = [await connection.exchange(REQUEST) for _ in range(2)]
    assert [(a.status, a.body, a.failure) for a in answers] == [(200, b"abcde", "")] * 2
    assert answers[1].connect == 0
    assert answers[0].last > answers[0].first


async def test_an_answer_without_content_ends_with_its_head(
    serving: Serving, connect: Callable[..., Connection]
) -> None:
    """A 204 is complete although it has no length, and the connection is kept."""
    async with serving(_always(b"HTTP/1.1 204 No Content\r\n\r\n")) as target:
        connection = connect(target)
        answers = [await connection.exchange(REQUEST) for _ in range(2)]
    assert [(a.status, a.failure, a.connect > 0) for a in answers] == [(204, "", True), (204, "", False)]


@pytest.mark.parametrize(
    ("content", "failure"),
    [
        (b"", "reset"),
        (b"HTTP/1.1 200 OK\r\nContent-Len", "half answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "half answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "half answer"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "garbage"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "garbage"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + bytes(BODY_LIMIT + 1), "garbage"),
    ],
)
async def test_what_is_no_answer_is_classified(
    serving: Serving, connect: Callable[..., Connection], content: bytes, failure: str
) -> None:
    """Nothing, half an answer, and what is not HTTP are told apart."""
    async with serving(_always(content, then_close=True)) as target:
        answer = await connect(target).exchange(REQUEST)
    assert answer.failure == failure
    assert answer.detail
    assert answer.last >= answer.sent > 0


async def test_a_reset_is_a_reset(serving: Serving, connect: Callable[..., Connection]) -> None:
    """A connection that is reset before the answer says so."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _asked(reader)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with serving(reset) as target:
        assert (await connect(target).exchange(REQUEST)).failure == "reset"


async def test_nobody_there_is_a_failed_connect(connect: Callable[..., Connection]) -> None:
    """A refused connection is a result, not an exception."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        answer = await connect(Target(host="127.0.0.1", port=closed.getsockname()[1])).exchange(REQUEST)
    assert answer.failure == "connect"
    assert answer.sent == 0


async def test_no_complete_answer_in_time_is_a_timeout(serving: Serving, connect: Callable[..., Connection]) -> None:
    """A trickle does not extend the time, and the next request is served on a new connection."""
    slow = True

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await _asked(reader)
            if not slow:
                writer.write(OK)
                continue
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while True:
                writer.write(b".")
                await asyncio.sleep(0.01)

    async with serving(trickle) as target:
        connection = connect(target, timeout=1.0)
        late = await connection.exchange(REQUEST)
        slow = False
        good = await connection.exchange(REQUEST)
    assert late.failure == "timeout"
    assert late.first > 0
    assert 1.0 <= late.last - late.begun < 9  # by itself it would take ten
    assert (good.status, good.failure) == (200, "")
    assert good.connect > 0


async def test_each_phase_has_its_time(serving: Serving, connect: Callable[..., Connection]) -> None:
    """A server that never answers is told from one that does not take the request, and both from the whole."""

    async def deaf(*_: object) -> None:
        await asyncio.sleep(60)

    async with serving(deaf) as target:
        silent = await connect(target, phases=Phases(first_byte=0.1)).exchange(REQUEST)
        full = await connect(target, phases=Phases(send=0.1)).exchange(REQUEST + bytes(1 << 24))
        whole = await connect(target, timeout=0.1, phases=Phases(first_byte=5)).exchange(REQUEST)
    assert [silent.failure, full.failure, whole.failure] == ["first byte timeout", "send timeout", "timeout"]


async def test_a_connection_that_is_not_taken_is_told(connect: Callable[..., Connection]) -> None:
    """Connecting to a listener whose queue is full takes as long as its phase may, and no longer."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for client in (first, second):
            client.setblocking(False)  # noqa: FBT003 - the socket's own interface
            client.connect_ex(listener.getsockname())
        target = Target(host="127.0.0.1", port=listener.getsockname()[1])
        answer = await connect(target, phases=Phases(connect=0.2)).exchange(REQUEST)
    assert answer.failure == "connect timeout"
    assert answer.sent == 0


def test_a_header_is_that_of_the_final_answer() -> None:
    """Whatever the case of its name; those of an interim answer are another's, and a body is no header."""
    head = b"HTTP/1.1 103 Early\r\nA: 1\r\n\r\nHTTP/1.1 200 OK\r\nretry-AFTER:  7 \r\nB:\r\n\r\nA: 3\r\n"
    assert [header(head, name) for name in (b"retry-after", b"b", b"a")] == [b"7", b"", None]


async def test_bytes_that_nobody_asked_for_never_answer_a_later_request(
    serving: Serving, connect: Callable[..., Connection]
) -> None:
    """A second answer behind the first is thrown away with its connection."""
    twice = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
    async with serving(_always(twice)) as target:
        connection = connect(target)
        answers = [await connection.exchange(REQUEST) for _ in range(2)]
    assert [(a.status, a.body, a.connect > 0) for a in answers] == [(200, b"hi", True)] * 2


async def test_closing_abandons_what_is_under_way(serving: Serving, connect: Callable[..., Connection]) -> None:
    """An exchange that is given up ends at once, as abandoned."""
    async with serving(_always(b"")) as target:
        connection = connect(target)
        exchange = asyncio.ensure_future(connection.exchange(REQUEST))
        await asyncio.sleep(0.02)
        connection.close()
        assert (await exchange).failure == "abandoned"
