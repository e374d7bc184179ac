"""Which Redis server a connection leads to, and whether it is still that one.

A server is known by its run id and the id of its replication history. One that was restarted has another run id, and one
that was promoted begins another history, even if it is the same process that was demoted in between.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from redis.exceptions import ConnectionError as RedisConnectionError

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

IDENTITY_BYTES = 16
"""Bytes of the digest that stands for a server's run id and replication history."""

RECHECK_SECONDS = 1.0
"""How long a connection is taken to lead to the server it led to, without asking again (in the same round trip)."""

RECHECK = ("INFO", "replication")
"""The command whose reply ``recheck`` reads."""


class ServerIdentity:
    """The server at the end of a connection, and when it last said that it is still the same."""

    __slots__ = ("checked", "digest", "history")

    def __init__(self, info: bytes) -> None:
        """Read INFO's sections server and replication; raise RedisConnectionError when it only follows another."""
        told = _told(info)
        run_id, self.history = told.get(b"run_id", b""), told.get(b"master_replid", b"")
        if not run_id or not self.history or told.get(b"role") != b"master":
            raise RedisConnectionError("this Redis is a replica, or does not say which server it is")
        self.digest = hashlib.blake2b(run_id + self.history, digest_size=IDENTITY_BYTES).digest()
        self.checked = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether it has to be asked again with the next question."""
        return time.monotonic() - self.checked > RECHECK_SECONDS

    def recheck(self, info: bytes) -> None:
        """Raise RedisConnectionError when the server was demoted, or promoted again, under an open connection."""
        told = _told(info)
        if told.get(b"role") != b"master" or told.get(b"master_replid") != self.history:
            raise RedisConnectionError("this Redis is not the server it was")
        self.checked = time.monotonic()


def trusted(stored: bytes | None, server: bytes) -> bytes | None:
    """Return a stored value without the identity before it; None when there is none, or another server took it."""
    if stored is None or not stored.startswith(server):
        return None
    return stored[IDENTITY_BYTES:]


def _told(info: bytes) -> dict[bytes, bytes]:
    pairs = (line.partition(b":") for line in info.splitlines())
    return {name: value for name, colon, value in pairs if colon}


async def greet(connection: AbstractConnection) -> None:
    """Learn, once a connection, which server it leads to (redis-py's ``redis_connect_func``)."""
    await connection.on_connect()
    await connection.send_command("INFO", "server", "replication", check_health=False)
    answer: bytes = await connection.read_response(disable_decoding=True)
    connection.server = ServerIdentity(answer)  # type: ignore[attr-defined] # redis-py leaves room for it


def server_of(connection: AbstractConnection) -> ServerIdentity:
    """Return what ``greet`` learned."""
    server: ServerIdentity = connection.server  # type: ignore[attr-defined] # left there by greet
    return server
