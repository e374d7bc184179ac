"""A small service, in the test's own process and over real sockets, on which the journeys work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from loadgen.target import Target

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Target]:
    """Serve raw connections on a free port; whatever is still open at the end is closed."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Target(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes]:
    """Read one request: method, path, headers with lower-case names, body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.split("\r\n")[:-2]
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return method, path, headers, await reader.readexactly(int(headers.get("content-length", "0")))


def answer(status: int, body: bytes = b"", *extra: str) -> bytes:
    """Return an answer as bytes."""
    length = [] if status == 204 else [f"Content-Length: {len(body)}"]
    head = "\r\n".join([f"HTTP/1.1 {status} Word", *length, *extra])
    return f"{head}\r\n\r\n".encode() + body


class JourneyService:
    """Registers, logs in, checks and logs out, strictly, and remembers what it saw."""

    def __init__(self) -> None:
        self.users: dict[str, str] = {}
        self.sessions: dict[str, str] = {}
        self.answered: Counter[tuple[str, int]] = Counter()
        self.tokens_checked: Counter[str] = Counter()
        self.connections = 0
        self.refuse_first = 0
        self.forget_sessions_after = 0
        self.stall_at = -1
        self.stall = 0.0
        self.busy = asyncio.Event()
        """Set when twenty checks or looks at oneself have come."""
        self.stalled = asyncio.Event()
        """Set when the stall has begun."""
        self._seen = 0
        self._open = asyncio.Event()
        self._open.set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        while True:
            method, path, headers, body = await read_request(reader)
            await self._maybe_stall(path)
            status, content = self._decide(method, path, headers, json.loads(body) if body else {})
            self.answered[path, status] += 1
            writer.write(answer(status, content, *(["Retry-After: 0"] if status == 503 else [])))

    async def _maybe_stall(self, path: str) -> None:
        if path in {"/auth/check", "/auth/me"}:
            self._seen += 1
            if self._seen == 20:
                self.busy.set()
            if self._seen == self.stall_at:
                self._open.clear()
                self.stalled.set()
                asyncio.get_running_loop().call_later(self.stall, self._open.set)
        await self._open.wait()

    def _decide(self, method: str, path: str, headers: dict[str, str], body: dict[str, str]) -> tuple[int, bytes]:
        if self.refuse_first > 0:
            self.refuse_first -= 1
            return 503, b""
        if (method, path) == ("POST", "/auth/register"):
            if body["email"] in self.users:
                return 409, b""
            self.users[body["email"]] = body["password"]
            return 201, b"{}"
        if (method, path) == ("POST", "/auth/login"):
            if self.users.get(body["email"]) != body["password"]:
                return 401, b""
            token = secrets.token_hex(8)
            self.sessions[token] = body["email"]
            self.forget_sessions_after -= 1
            if self.forget_sessions_after == 0:
                self.sessions.clear()
            return 200, json.dumps({"token": token, "user": {}}).encode()
        return self._decide_with_session(method, path, headers.get("authorization", "").removeprefix("Bearer "))

    def _decide_with_session(self, method: str, path: str, token: str) -> tuple[int, bytes]:
        if token not in self.sessions:
            return 401, b""
        if (method, path) == ("GET", "/auth/check"):
            self.tokens_checked[token] += 1
            return 204, b""
        if (method, path) in {("GET", "/auth/me"), ("PUT", "/users/profile")}:
            return 200, b"{}"
        if (method, path) == ("POST", "/auth/logout"):
            del self.sessions[token]
            return 204, b""
        return 404, b""


@pytest.fixture
async def service() -> JourneyService:
    """Return a fresh service, not yet served."""
    return JourneyService()


@pytest.fixture(name="serving")
def _serving() -> Callable[[Handler], AbstractAsyncContextManager[Target]]:
    """Return what serves a handler on a free port."""
    return serving
