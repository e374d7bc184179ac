"""A claim about the start of another worker beside one that serves."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from psutil import Process

    Until = Callable[[Callable[[], bool], float], None]
    Serve = Any

PATIENCE = 120.0
REQUEST = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def asking() -> Iterator[Callable[[Serve, int], None]]:
    """Return a function that opens connections, one after another, has each answered, and keeps them until the test ends."""
    with contextlib.ExitStack() as stack:

        def ask(serve: Serve, count: int) -> None:
            for _ in range(count):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", serve.port), PATIENCE))
                connection.sendall(REQUEST)
                assert connection.recv(4096).startswith(b"HTTP/1.1 200")

        yield ask


def test_replacement_takes_connections_while_its_sibling_serves(
    running: Serve, asking: Callable[[Serve, int], None], wait_until: Until
) -> None:
    """A worker that was killed has a successor that takes connections, and until then its sibling answers each."""
    asking(running, 1)
    victim, sibling = running.workers()
    victim.kill()

    def taken() -> bool:
        asking(running, 1)
        return any(
            _connections(worker, running.port) for worker in running.workers() if worker not in (victim, sibling)
        )

    wait_until(taken, PATIENCE)


def _connections(worker: Process, port: int) -> int:
    return sum(
        connection.status == "ESTABLISHED" and connection.laddr.port == port
        for connection in worker.net_connections("tcp")
    )
