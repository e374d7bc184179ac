"""Whether the servers that were named can be used, told in one line that shows no password."""

from __future__ import annotations

import asyncio
import re
import ssl
from urllib.parse import unquote, urlsplit

import asyncpg

from app.launcher.errors import LauncherError
from app.storage.replication import PRIMARY, REPLICA

PATIENCE = 5.0
OLDEST_POSTGRES = 14
LONGEST_ANSWER = 1 << 10

_PASSWORD = re.compile(r"(://[^\s/:@]*:)\S*@")
"""The password in a URL, as a client's message may repeat it."""
_NUMBER = re.compile(r"^\[Errno -?\d+\] ")
"""What the operating system's sentence is in its list."""


async def check_postgres(url: str, *, advice: str = "") -> None:
    """Connect once; raise LauncherError, which ends with the advice, when that fails or the server is too old."""
    try:
        connection = await asyncpg.connect(url, timeout=PATIENCE)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise LauncherError(_unusable("PostgreSQL", url, error) + (advice or _advice("DATABASE_URL"))) from None
    try:
        version = connection.get_server_version().major
    finally:
        connection.terminate()
    if version < OLDEST_POSTGRES:
        raise LauncherError(f"DATABASE_URL: PostgreSQL {OLDEST_POSTGRES} or newer is needed, this is {version}")


async def check_replica(url: str, primary_url: str) -> str | None:
    """Raise LauncherError when what is there is no replica of the primary; return a warning when nobody answers.

    A replica that is away is no reason not to serve: the primary answers in its place, and it may come back.
    """
    try:
        there = await _row(url, REPLICA)
    except (TimeoutError, ConnectionError, asyncpg.CannotConnectNowError) as error:
        return f"{_unusable('The replica', url, error)}; until it answers, the primary does"
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise LauncherError(_unusable("The replica", url, error) + "; correct DATABASE_REPLICA_URLS") from None
    try:
        here = await _row(primary_url, PRIMARY)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise LauncherError(_unusable("The primary", primary_url, error) + "; correct DATABASE_URL") from None
    if not there["follows"]:
        raise LauncherError(f"DATABASE_REPLICA_URLS: the server at {_place(url)} is no replica: it follows no other")
    if there["identity"] != here["identity"]:
        raise LauncherError(f"DATABASE_REPLICA_URLS: {_place(url)} has another database than DATABASE_URL")
    return None


async def _row(url: str, query: str) -> asyncpg.Record:
    connection = await asyncpg.connect(url, timeout=PATIENCE)
    try:
        [row] = await connection.fetch(query, timeout=PATIENCE)
        return row
    finally:
        connection.terminate()


async def check_redis(url: str) -> None:
    """Log in and ping once; raise LauncherError when that fails.

    Spoken by hand: only storage knows the Redis client, and this needs two commands of the protocol.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            await _ping(url)
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise LauncherError(_unusable("Redis", url, error) + _advice("REDIS_URL")) from None


async def _ping(url: str) -> None:
    parts = urlsplit(url)
    secure = ssl.create_default_context() if parts.scheme == "rediss" else None
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 6379, ssl=secure, limit=LONGEST_ANSWER)
    try:
        if parts.password:
            names = [unquote(parts.username)] if parts.username else []
            await _command(reader, writer, "AUTH", *names, unquote(parts.password))
        await _command(reader, writer, "PING")
    finally:
        writer.close()


async def _command(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *words: str) -> None:
    encoded = [word.encode() for word in words]
    writer.write(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded))
    answer = (await reader.readuntil(b"\r\n")).decode(errors="replace").strip()
    if not answer.startswith("+"):
        raise ValueError(answer.removeprefix("-"))


def _unusable(name: str, url: str, error: Exception) -> str:
    parts = urlsplit(url)
    if isinstance(error, TimeoutError):
        why = f"no answer within {PATIENCE:g} s"
    elif isinstance(error, ConnectionRefusedError):
        why = "connection refused"
    else:
        why = _NUMBER.sub("", " ".join(str(error).split())).removesuffix(".") or type(error).__name__
    why = _PASSWORD.sub(r"\1***@", why)
    for secret in filter(None, (parts.password, unquote(parts.password or ""))):
        why = why.replace(f"'{secret}'", "'***'")  # as Redis quotes a command that it does not know
    return f"{name} at {_place(url)} cannot be used: {why}"


def _advice(setting: str) -> str:
    return f"; start it, correct {setting}, or unset {setting} to have one run for you"


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
