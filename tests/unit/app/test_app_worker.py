"""A claim about how a worker takes connections."""

import asyncio
import socket

import uvloop
from sanic import Sanic
from sanic.server.protocols.http_protocol import HttpProtocol

from app.worker import drain, listen

CLIENTS = 64


async def _turns() -> int:
    """Let clients come at once, and return how many turns of the loop pass until the last is accepted."""
    app = Sanic("doors", configure_logging=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = await listen(app, listener, HttpProtocol)
        clients = [socket.create_connection(listener.getsockname()) for _ in range(CLIENTS)]
        turns = 0
        while len(server.connections) < CLIENTS:
            await asyncio.sleep(0)
            turns += 1
        for client in clients:
            client.close()
        await drain(server, HttpProtocol)
    Sanic.unregister_app(app)
    return turns


def test_many_who_come_at_once_are_let_in_together() -> None:
    """When a worker ends, its clients come to the others all at once, and are accepted several in a turn of the loop."""
    assert uvloop.run(_turns()) <= CLIENTS / 4
