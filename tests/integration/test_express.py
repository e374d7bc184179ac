"""The express way of hot requests: nobody can tell it from Sanic's, and only what is plain goes there."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import re
import signal
import socket
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import running

from app.handlers.bearer import token_of
from app.handlers.express import Express
from app.repositories.keys import profile_key, session_key
from app.storage.cache import Fill
from app.values import Session
from observability.record.keeping import Keeper
from observability.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from running import Serve, Service

    from app.embedded import Server
    from observability.model import KeptTrace

PATHS = ("/auth/check", "/auth/me")


class Caller:
    """Somebody with a session that is cached, and how many of the requests with it were decided by the service's ordinary methods."""

    def __init__(self, service: Service, authorization: str) -> None:
        self.service = service
        self.authorization = authorization
        self.ordinary = 0

    def request(self, path: str, *more: str, start: str = "GET {} HTTP/1.1", host: str = "Host: x") -> bytes:
        """Write a request with the token."""
        lines = [start.format(path), *([host] if host else []), f"Authorization: {self.authorization}", *more]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection on which the service waits for a request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.service.port)
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        await answer_of(reader)
        return reader, writer

    async def say(self, *parts: bytes, answers: int = 1) -> list[bytes]:
        """Send bytes on a connection of their own, in pieces that arrive one by one; return so many answers."""
        reader, writer = await self.open()
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.05 if len(parts) > 1 else 0)
        answers_got = [await answer_of(reader) for _ in range(answers)]
        writer.transport.abort()
        return answers_got


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    """Read one answer, head and body."""
    async with asyncio.timeout(30):
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return head + (await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b"")


def watched(service: Service, authorization: str, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """Return the caller with that token."""
    caller, sessions = Caller(service, authorization), service.parts.services.sessions

    def counted(method: Any) -> Any:
        async def call(*values: Any) -> Any:
            caller.ordinary += 1
            return await method(*values)

        return call

    monkeypatch.setattr(sessions, "check", counted(sessions.check))
    monkeypatch.setattr(sessions, "me", counted(sessions.me))
    return caller


@pytest.fixture
async def caller(service: Service, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """Log somebody in, and have everything of theirs cached."""
    bearer = await service.person()
    await service.client.get("/auth/me", headers=bearer)
    return watched(service, bearer["Authorization"], monkeypatch)


HEADERS: dict[str, tuple[str, ...]] = {
    "none": (),
    "those of a browser": ("User-Agent: x", "Accept: */*", "Accept-Encoding: gzip", "Cookie: a=b; c=d"),
    "those of gateways": ("X-Forwarded-For: 203.0.113.1", "X-Forwarded-Proto: https", "Content-Length: 0"),
    "one to keep the connection": ("Connection: keep-alive",),
    "other letters": ("CONNECTION: Keep-Alive", "X-Word: gr\xfc\xdf"),
    "a trace": ("Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",),
}


async def test_the_express_way_answers_as_the_handlers_do(caller: Caller) -> None:
    """Byte for byte; a query that says nothing is what makes the second request an ordinary one."""
    for path, (name, headers) in itertools.product(PATHS, HEADERS.items()):
        before = caller.ordinary
        [express] = await caller.say(caller.request(path, *headers))
        assert caller.ordinary == before, name
        assert await caller.say(caller.request(path + "?", *headers)) == [express], name
        assert caller.ordinary == before + 1, name
        assert express.startswith(b"HTTP/1.1 20"), name


NOT_PLAIN: dict[str, tuple[dict[str, Any], tuple[str, ...], int]] = {
    "HTTP/1.0": ({"start": "GET {} HTTP/1.0"}, ("X-Word: HTTP/1.1",), 204),
    "HTTP/1.0, though a header ends like HTTP/1.1": ({"start": "GET {} HTTP/1.0"}, ("X-Word: a HTTP/1.1",), 204),
    "a connection to be closed": ({}, ("Connection: close",), 204),
    "POST": ({"start": "POST {} HTTP/1.1"}, (), 405),
    "another path": ({"start": "GET {}/x HTTP/1.1"}, (), 404),
    "no Host": ({"host": ""}, (), 400),
    "two Hosts": ({}, ("Host: y",), 400),
    "a folded line": ({}, ("X-Word: a", " b"), 400),
    "a space before a colon": ({}, ("Transfer-Encoding : chunked",), 400),
    "two lengths": ({}, ("Content-Length: 0", "Content-Length: 0"), 400),
    "a long head": ({}, ("X-Word: " + "x" * 5000,), 204),
    "too long a head": ({}, ("X-Word: " + "x" * 9000,), 413),
    "an expectation": ({}, ("Content-Length: 2", "Expect: cake"), 417),
    "a second token": ({}, ("Authorization: Bearer x",), 400),
}


async def test_what_is_not_plain_is_left_to_sanic(caller: Caller) -> None:
    """Whatever the express way does not know by heart is read by the one reader that does."""
    for name, (named, more, status) in NOT_PLAIN.items():
        before = caller.ordinary
        [answer] = await caller.say(caller.request("/auth/check", *more, **named))
        assert int(answer.split()[1]) == status, name
        assert caller.ordinary - before == (status == 204), name


SPOILS = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"\x00",
        b"\x0b",
        b"\x85",
        b"\xa0",
        b"\xc2\xa0",
        b"\r\n\r\n",
        b"?",
        b"/",
        b"%",
        b"A",
    ),
    *(b"HTTP/1.0", b"HTTP/1.1", b" HTTP/1.1\r\n", b"X: HTTP/1.1\r\n", b"GET /auth/me HTTP/1.1\r\nHost: x\r\n\r\n"),
    *(
        b"Host: y\r\n",
        b"Connection: close\r\n",
        b"connection:Keep-Alive \r\n",
        b"Upgrade: websocket\r\n",
        b"Bearer ",
        b"bearer ",
    ),
    *(b"Content-Length: 0\r\n", b"Content-Length: 1\r\n", b"Content-Length: 00\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Expect: 100-continue\r\n", b"X-Forwarded-For: 1.2.3.4, x\r\n", b"Authorization: Bearer x\r\n"),
)
REQUESTS = int(os.environ.get("SPOILT_REQUESTS", "240"))
"""How many are compared; more take longer, 50 a second."""


def spoilt(chance: random.Random, request: bytes) -> bytes:
    """Put something in, take something out or change a byte, most often once, and where lines begin."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        begins = [match.end() for match in re.finditer(b"\r\n", request)] or [0]
        place = chance.choice([*begins, chance.randrange(len(request))])
        behind = place + chance.randrange(4)
        request = chance.choice(
            (
                request[:place] + chance.choice(SPOILS) + request[place:],
                request[:place] + request[behind:],
                request[:place] + bytes([chance.randrange(256)]) + request[place + 1 :],
                request[:place] + request[place:behind].swapcase() + request[behind:],
            )
        )
    return request


async def test_no_spoilt_request_tells_the_ways_apart(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with a request, the connection carries the same answers, the next request's too, byte for byte."""
    chance = random.Random(int(os.environ.get("SPOILT_SEED", "1")))  # noqa: S311 - not a secret
    last = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    async def all_of(request: bytes) -> bytes:
        reader, writer = await caller.open()
        writer.write(request)
        await asyncio.sleep(0.02)
        with contextlib.suppress(ConnectionError):
            writer.write(last)
        answers = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(30):
                while data := await reader.read(65536):
                    answers += data
        writer.transport.abort()
        return re.sub(rb'"trace_id":"\w+"', b"", answers)

    async def both_ways(requests: list[bytes]) -> list[tuple[bytes, bytes]]:
        express = await asyncio.gather(*map(all_of, requests))
        with monkeypatch.context() as patch:
            patch.setattr(Express, "read", lambda *_: None)
            return list(zip(express, await asyncio.gather(*map(all_of, requests)), strict=True))

    for _ in range(REQUESTS // 20):
        requests = [spoilt(chance, caller.request(path, "User-Agent: x")) for path in PATHS * 10]
        for request, pair in zip(requests, await both_ways(requests), strict=True):
            one, other = pair
            for _ in range(5):  # an end that comes before all was read is a reset, which may take an answer with it
                if one != other:
                    [(one, other)] = await both_ways([request])
            assert one == other, request


BODIES_UNREAD = {
    "nothing there": (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 404),
    "a method without a body": (b"GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 200),
    "between two chunks": (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx", 404),
}


@pytest.mark.parametrize(("head", "status"), BODIES_UNREAD.values(), ids=BODIES_UNREAD.keys())
async def test_a_body_is_not_taken_for_a_request(caller: Caller, head: bytes, status: int) -> None:
    """A request may be answered before its body is there. Who smuggles one into it gets no answer to that."""
    body = caller.request("/auth/me")
    reader, writer = await caller.open()
    writer.write(head % len(body) if b"%d" in head else head)
    assert int((await answer_of(reader)).split()[1]) == status
    await asyncio.sleep(0.05)  # so that the server waits for the body
    writer.write(body)
    await asyncio.sleep(0.05)
    with contextlib.suppress(ConnectionError):
        writer.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    rest = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(30):
            while data := await reader.read(65536):
                rest += data
    writer.transport.abort()
    assert [part[:3] for part in rest.split(b"HTTP/1.1 ")[1:]] == ([b"404"] if b"%d" in head else [])
    assert caller.ordinary == 0


async def test_a_bad_token_is_refused_the_ordinary_way(caller: Caller) -> None:
    """Nobody is turned away by the express way alone."""
    good = caller.authorization
    others = ("", "Bearer", "Bearer x", good.replace("Bearer", "Basic"), good + "\xa0", "Bearer gw_" + "A" * 64)
    for authorization in others:
        caller.authorization = authorization
        [answer] = await caller.say(caller.request("/auth/check"))
        assert answer.startswith(b"HTTP/1.1 401 "), authorization
        assert b'"code":"not-authenticated"' in answer


async def test_a_token_of_another_user_is_refused(caller: Caller, service: Service) -> None:
    """The secret of one session with the id of another user opens nothing, though both are cached."""
    bob = await service.person("bob@example.org")
    assert (await service.client.get("/auth/me", headers=bob)).status_code == 200
    own, other = (urlsafe_b64decode(text.split("gw_")[1]) for text in (caller.authorization, bob["Authorization"]))
    caller.authorization = f"Bearer gw_{urlsafe_b64encode(other[:16] + own[16:]).decode()}"
    for path in PATHS:
        [answer] = await caller.say(caller.request(path))
        assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_session_that_is_over_is_refused_though_it_is_cached(caller: Caller, service: Service) -> None:
    """Redis may be late to forget one."""
    token, now = token_of(caller.authorization), datetime.now(UTC)
    assert token
    over = Session(token.user_id, token.user_id, now, now - timedelta(seconds=1), now)
    cache = service.parts.cache
    await cache.delete([key_of(caller)])
    [lease] = await cache.lease([key_of(caller)])
    assert lease
    assert await cache.fill([Fill(lease, msgspec.msgpack.encode(over), 600)]) == [True]
    for path in PATHS:
        [answer] = await caller.say(caller.request(path))
        assert answer.startswith(b"HTTP/1.1 401 ")


async def test_answers_keep_their_order(caller: Caller) -> None:
    """Requests that come in one piece, in halves, or behind one whose answer is pending are answered in turn."""
    check, me, live = (
        caller.request("/auth/check"),
        caller.request("/auth/me"),
        b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    turns = [check, me, live, check, check, live, me, me]
    kinds = {check: b"204", me: b'"email"', live: b'"status"'}
    for parts in (
        [b"".join(turns)],
        [turn[i:j] for turn in turns for i, j in ((0, 9), (9, None))],
        [check, b"".join(turns[1:3]), *turns[3:]],
    ):
        answers = await caller.say(*parts, answers=len(turns))
        assert [kinds[turn] in answer for turn, answer in zip(turns, answers, strict=True)] == [True] * len(turns)


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "not cached"])
async def test_bytes_behind_a_pending_request_wait_for_it(
    serve: Serve, redis: Server, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    """While Redis is asked, the next requests of the connection are not read past it, and none is lost."""
    async with serve(redis_timeout=20) as service:
        caller = watched(service, (await service.person())["Authorization"], monkeypatch)
        if cached:
            await caller.say(caller.request("/auth/me"))
        reader, writer = await caller.open()
        async with frozen(redis):
            writer.write(caller.request("/auth/me"))
            await until(lambda: service.telemetry.recorder.in_flight == 1)
            for behind in (caller.request("/auth/check"), b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"):
                writer.write(behind)
                await asyncio.sleep(0.05)
        answers = [await answer_of(reader) for _ in range(3)]
        assert [part in answer for part, answer in zip((b'"email"', b"204", b'"status"'), answers, strict=True)] == [
            True
        ] * 3
        assert service.telemetry.recorder.in_flight == 0
        writer.transport.abort()


async def test_nobody_fills_the_memory_behind_a_pending_request(
    serve: Serve, redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is not read on while something waits, and is read on afterwards."""
    async with serve(redis_timeout=20) as service:
        caller = watched(service, (await service.person())["Authorization"], monkeypatch)
        await caller.say(caller.request("/auth/me"))
        check = caller.request("/auth/check")
        reader, writer = await caller.open()
        async with frozen(redis):
            writer.write(check)
            await until(lambda: service.telemetry.recorder.in_flight == 1)
            writer.write(check)
            await asyncio.sleep(0.05)
        assert [(await answer_of(reader)).split()[1] for _ in range(2)] == [b"204"] * 2
        writer.write(check)
        assert (await answer_of(reader)).split()[1] == b"204"
        async with frozen(redis):
            writer.write(check)
            await until(lambda: service.telemetry.recorder.in_flight == 1)
            writer.write(check * 100_000)
            await asyncio.sleep(0.5)
            [behind] = [len(each.behind) for each in service.server.connections if each.pending]
            assert behind < 1_000_000
            writer.transport.abort()


async def test_who_does_not_read_answers_is_written_no_more(caller: Caller) -> None:
    """Past 64 KiB that a client has not taken, its next request waits, on Sanic's way; nothing is lost."""
    me, session = caller.request("/auth/me"), caller.service.telemetry.recorder.cache("session")
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", caller.service.port))
    reader, writer = await asyncio.open_connection(sock=narrow, limit=1024)
    writer.write(me)
    await answer_of(reader)
    port = narrow.getsockname()[1]
    [connection] = [each for each in caller.service.server.connections if each.conn_info.client_port == port]
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sent, ordinary = 0, caller.ordinary
    while connection._can_write.is_set():
        hits, sent = session.hits, sent + 1
        writer.write(me)
        await until(lambda hits=hits: session.hits > hits)
    assert caller.ordinary == ordinary
    writer.write(me)
    await until(lambda: caller.ordinary > ordinary)
    assert all([b'"email"' in await answer_of(reader) for _ in range(sent + 1)])
    writer.transport.abort()


async def test_a_connection_in_use_is_not_idle(caller: Caller) -> None:
    """Each request on the express way begins the time anew after which a connection that nobody uses is closed."""
    reader, writer = await caller.open()
    port = writer.get_extra_info("sockname")[1]
    [connection] = [each for each in caller.service.server.connections if each.conn_info.client_port == port]
    for _ in range(2):
        before = time.monotonic()
        writer.write(caller.request("/auth/check"))
        await answer_of(reader)
        assert connection._time >= before
    assert caller.ordinary == 0
    writer.transport.abort()


async def test_a_server_that_drains_ends_no_pending_request(
    serve: Serve, redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection whose request waits for Redis is not idle; the next one is told that the connection ends."""
    async with serve(redis_timeout=20) as service:
        caller = watched(service, (await service.person())["Authorization"], monkeypatch)
        await caller.say(caller.request("/auth/me"))
        reader, writer = await caller.open()
        async with frozen(redis):
            writer.write(caller.request("/auth/check"))
            await until(lambda: service.telemetry.recorder.in_flight == 1)
            assert [
                connection for connection in service.server.connections if connection.express and connection.pending
            ]
            for connection in service.server.connections:
                type(connection).draining = True
                if connection.pending:
                    assert not connection.close_if_idle()
        assert b"connection: keep-alive" in await answer_of(reader)
        writer.write(caller.request("/auth/check"))
        assert b"connection: close" in await answer_of(reader)
        assert not await reader.read()
        writer.close()


async def test_a_frozen_redis_costs_nobody_an_answer(
    hasty: Service, redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was on the express way when it failed is answered from PostgreSQL."""
    bearer = await hasty.person()
    await hasty.client.get("/auth/me", headers=bearer)
    caller = watched(hasty, bearer["Authorization"], monkeypatch)
    async with frozen(redis):
        [answer] = await caller.say(caller.request("/auth/check"))
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert caller.ordinary == 1


async def test_what_a_request_saw_is_not_shown_to_the_next(caller: Caller, service: Service) -> None:
    """A look into the cache serves the request that looked: after a logout the next one on the connection is refused."""
    reader, writer = await caller.open()
    token = token_of(caller.authorization)
    assert token
    await service.parts.cache.delete([profile_key(token.user_id)])  # so that a request sees its session, and goes on
    writer.write(caller.request("/auth/me"))
    assert (await answer_of(reader)).startswith(b"HTTP/1.1 200 ")
    assert caller.ordinary == 1
    await service.client.post("/auth/logout", headers={"Authorization": caller.authorization})
    writer.write(caller.request("/auth/me", "Connection: close"))
    assert (await answer_of(reader)).startswith(b"HTTP/1.1 401 ")
    writer.transport.abort()


async def test_a_miss_is_limited_once(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that leaves the express way has not asked twice, and the last one allowed is the last."""
    async with serve(limit_checks=(4, 3600)) as service:
        caller = watched(service, (await service.person())["Authorization"], monkeypatch)
        statuses = []
        for _ in range(5):
            await service.parts.cache.delete([key_of(caller)])
            statuses += [answer.split()[1] for answer in await caller.say(caller.request("/auth/check"))]
        assert statuses == [b"204"] * 4 + [b"429"]


async def test_each_client_behind_a_proxy_has_its_own_limit(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is listed says on the express way, too, whom it speaks for."""
    async with serve(limit_checks=(3, 3600), trusted_proxies=(ip_network("127.0.0.0/8"),)) as service:
        bearer = await service.person()
        await service.client.get("/auth/me", headers=bearer)
        caller = watched(service, bearer["Authorization"], monkeypatch)
        for address in ("203.0.113.1", "203.0.113.2"):
            request = caller.request("/auth/check", f"X-Forwarded-For: {address}")
            assert [(await caller.say(request))[0].split()[1] for _ in range(4)] == [b"204"] * 3 + [b"429"]
        assert caller.ordinary == 0


async def test_each_request_is_recorded_once(caller: Caller, service: Service, redis: Server) -> None:
    """Those answered at once, those that missed, and those whose client did not stay."""
    recorder = service.telemetry.recorder
    before = counted(service)
    for path in PATHS:
        await caller.say(caller.request(path))
    await service.parts.cache.delete([key_of(caller)])
    await caller.say(caller.request("/auth/check"))
    _, writer = await caller.open()
    async with frozen(redis):
        writer.write(caller.request("/auth/check"))
        await until(lambda: recorder.in_flight == 1)
        writer.transport.abort()
        await until(lambda: recorder.in_flight == 0)
    grown = {key: count - before.get(key, 0) for key, count in counted(service).items()}
    assert {key: count for key, count in grown.items() if key[1] in PATHS and count} == {
        ("GET", "/auth/check", 204, ""): 2,
        ("GET", "/auth/me", 200, ""): 1,
        ("GET", "/auth/check", 0, "disconnected"): 1,
    }


async def test_a_request_on_the_express_way_is_kept_for_its_caller(caller: Caller, service: Service) -> None:
    """It belongs to its caller's trace like any other, with the Redis that it waited for as its child."""
    keeper = service.telemetry.recorder.keeper = Keeper(instance="here", worker="one")
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    await caller.say(
        caller.request("/auth/me", f"TraceParent: 00-{trace}-{parent}-01", "tracestate: a=b,gatewatch=w:1500")
    )
    [kept] = [kept for kept in keeper.take() if kept.name == "GET /auth/me"]
    assert (caller.ordinary, kept.trace_id, kept.parent_id, kept.why) == (0, trace, parent, "asked")
    assert (kept.status, kept.client_wait, kept.tracestate) == (200, 0.0015, "a=b,gatewatch=w:1500")
    [child] = kept.spans
    assert (child.part, child.parent_id) == ("redis", kept.span_id)
    assert 0 < child.begin < child.begin + child.seconds < kept.seconds


async def test_propagators_are_obeyed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller's trace is nobody's where trace context is not asked for, on either way."""
    parent = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    asked = {"OTEL_PROPAGATORS": "baggage", "OTEL_TRACES_SAMPLER": "always_on"}
    async with serve(environment=asked) as service:
        keeper = service.telemetry.recorder.keeper = Keeper(instance="here", worker="one")
        bearer = await service.person()
        await service.client.get("/auth/me", headers=bearer)
        caller = watched(service, bearer["Authorization"], monkeypatch)
        keeper.take()
        await caller.say(caller.request("/auth/me", parent))
        await caller.say(caller.request("/health/live", parent))
        async with asyncio.timeout(30):
            kept: dict[str, KeptTrace] = {}
            while len(kept) < 2:
                kept |= {trace.name: trace for trace in keeper.take()}
                await asyncio.sleep(0.01)
        assert caller.ordinary == 0
        assert {(trace.parent_id, trace.why) for trace in kept.values()} == {("", "sampled")}


async def test_without_telemetry_it_goes_as_well(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it needs the recorder."""
    off = {"OTEL_SDK_DISABLED": "true"}
    monkeypatch.setattr(running, "Telemetry", lambda **named: Telemetry(**{**named, "environment": off}))
    async with serve() as service:
        bearer = await service.person()
        await service.client.get("/auth/me", headers=bearer)
        caller = watched(service, bearer["Authorization"], monkeypatch)
        for path in PATHS:
            [answer] = await caller.say(caller.request(path))
            assert answer.startswith(b"HTTP/1.1 20")
        assert caller.ordinary == 0


def counted(service: Service) -> dict[tuple[str, str, int, str], int]:
    """Return how many requests each series has."""
    return {
        (c.method, c.route, c.status, c.error): c.duration.count for c in service.telemetry.recorder.requests.freeze()
    }


def key_of(caller: Caller) -> str:
    """Name the caller's session in the cache."""
    token = token_of(caller.authorization)
    assert token
    return session_key(token.digest)


@contextlib.asynccontextmanager
async def frozen(redis: Server) -> AsyncIterator[None]:
    """Stop Redis for a while; it answers afterwards."""
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(redis.pid, signal.SIGCONT)


async def until(condition: Any) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.005)
