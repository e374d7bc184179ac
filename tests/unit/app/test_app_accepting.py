"""Claims about who takes a new connection, made with two servers on one socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from app.accepting import EvenServer
from app.board import Board

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

ENOUGH = 30.0


class Greeter(asyncio.Protocol):
    """Greets, and notes in a set that it is connected."""

    def __init__(self, connections: set[Any]) -> None:
        self._connections = connections
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Greet."""
        self._transport = transport
        self._connections.add(self)
        transport.write(b"!")

    def connection_lost(self, _: BaseException | None) -> None:
        """Note the end."""
        self._connections.discard(self)


def _greeting(connections: set[Any]) -> Callable[[], asyncio.Protocol]:
    return lambda: Greeter(connections)


@pytest.fixture
def board() -> Iterator[Board]:
    """Return a board of two workers."""
    fd = Board.make(2)
    yield Board(fd)
    os.close(fd)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Return a listening socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield listener


@contextlib.asynccontextmanager
async def serving(listener: socket.socket, board: Board, number: int) -> AsyncIterator[EvenServer]:
    """Accept on a socket as the worker of a number."""
    server = EvenServer(listener.dup(), _greeting, board, number)
    await server.start_serving()
    yield server
    server.close()
    await server.wait_closed()


async def greeted(listener: socket.socket, count: int) -> list[asyncio.StreamWriter]:
    """Connect so many times at once, and return when all have been greeted."""

    async def one() -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        assert await reader.readexactly(1) == b"!"
        return writer

    async with asyncio.timeout(ENOUGH):
        return list(await asyncio.gather(*(one() for _ in range(count))))


async def closed(writers: list[asyncio.StreamWriter]) -> None:
    """Close connections from the client's side."""
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def test_who_has_fewer_takes_the_next(listener: socket.socket, board: Board) -> None:
    """Of two workers that look for connections, the one with fewer catches up before the other takes more."""
    async with serving(listener, board, 1) as first:
        early = await greeted(listener, 20)
        async with serving(listener, board, 2) as second:
            late = await greeted(listener, 20)
            assert len(first.connections) + len(second.connections) == 40
            assert len(second.connections) >= 15
            await closed(early + late)


async def test_nobody_waits_for_a_sibling_that_does_not_look(listener: socket.socket, board: Board) -> None:
    """A worker that has fewer and lets a connection lie is passed over until it has looked again."""
    board.take(2, 0)
    async with serving(listener, board, 1) as first:
        early = await greeted(listener, 5)
        assert len(first.connections) == 5
        async with serving(listener, board, 2) as second:
            board.look(2)
            late = await greeted(listener, 5)
            assert len(second.connections) >= 3
            await closed(early + late)


async def test_who_has_left_is_no_sibling(listener: socket.socket, board: Board) -> None:
    """After its end a worker's seat is empty, and what comes is its siblings'."""
    async with serving(listener, board, 2):
        pass
    board.take(1, 5)
    assert board.with_fewer(1) == {}


async def test_ends_are_told(listener: socket.socket, board: Board) -> None:
    """A connection that ended is off the board, so that its place is taken by the next."""
    board.take(2, 1)
    async with serving(listener, board, 1) as first:
        writers = await greeted(listener, 3)
        assert board.with_fewer(1) == {2: 0}
        await closed(writers)
        async with asyncio.timeout(ENOUGH):
            while first.connections:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        assert board.with_fewer(1) == {}
        assert set(board.with_fewer(2)) == {1}
