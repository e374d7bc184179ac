"""Sessions made where ours and the rival keep theirs, and the requests that use them."""

from __future__ import annotations

import secrets
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from urllib.request import Request, urlopen
from uuid import UUID, uuid4

import asyncpg
import msgspec
from redis.asyncio import Redis

from app.repositories.ids import new_id
from app.security.tokens import issue
from benchmarks.driver import TIMEOUT, WrongAnswer, connection_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.instance import Instance

SAMPLE = 20
PASSWORD = "correct horse battery staple"  # noqa: S105 - of people who exist while a benchmark runs


class Person(msgspec.Struct, frozen=True):
    """Somebody with an open session."""

    user_id: UUID
    token: str


async def of_ours(ours: Instance, count: int) -> list[Person]:
    """Open a session for each of ``count`` new users."""
    now = datetime.now(UTC)
    made = [(new_id(), *issue(user_id)) for user_id in (new_id() for _ in range(count))]
    sql = await asyncpg.connect(ours.database_url)
    try:
        await sql.executemany(
            "INSERT INTO users (id, email, password_hash, role, created_at) VALUES ($1, $2, 'x', 'user', $3)",
            [(token.user_id, f"{token.user_id}@load.invalid", now) for *_, token in made],
        )
        await sql.executemany(
            "INSERT INTO profiles (user_id, updated_at) VALUES ($1, $2)", [(token.user_id, now) for *_, token in made]
        )
        await sql.executemany(
            """
            INSERT INTO sessions (id, user_id, token_hash, created_at, last_seen_at, expires_at)
            VALUES ($1, $2, $3, $4, $4, $5)
            """,
            [(id_, token.user_id, token.digest, now, now + timedelta(days=1)) for id_, _, token in made],
        )
        await sql.execute("ANALYZE")
    finally:
        await sql.close()
    return [Person(token.user_id, text) for _, text, token in made]


async def of_fastapi_users(theirs: Instance, count: int) -> list[Person]:
    """Do the same as its RedisStrategy and its user table have it."""
    made = [Person(uuid4(), secrets.token_urlsafe()) for _ in range(count)]
    sql = await asyncpg.connect(theirs.database_url)
    try:
        await sql.executemany(
            """
            INSERT INTO "user" (id, email, hashed_password, is_active, is_superuser, is_verified)
            VALUES ($1, $2, 'x', true, false, true)
            """,
            [(person.user_id, f"{person.user_id}@example.org") for person in made],
        )
        await sql.execute("ANALYZE")
    finally:
        await sql.close()
    async with Redis.from_url(theirs.redis_url) as store:
        await store.mset({f"fastapi_users_token:{person.token}": str(person.user_id) for person in made})
    return made


def asking(path: str, people: Sequence[Person]) -> list[bytes]:
    """Return everybody's GET of ``path``."""
    return [
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.token}\r\n\r\n".encode() for person in people
    ]


def confirm(server: Instance, path: str, people: Sequence[Person]) -> None:
    """Raise WrongAnswer unless ``path`` tells some of the people who they are, in a header or in its JSON."""
    for person in people[:: max(1, len(people) // SAMPLE)]:
        request = Request(server.url + path, headers={"Authorization": f"Bearer {person.token}"})  # noqa: S310 - our own server
        with urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - our own server
            told = answer.headers["X-User-Id"] or msgspec.json.decode(answer.read())["id"]
        if told != str(person.user_id):
            raise WrongAnswer(f"{server.url}{path} told somebody else")


def logging_in(path: str, email: str, *, form: bool) -> bytes:
    """Return a login's request: ours takes JSON, the rival a form."""
    if form:
        return _post(path, urlencode({"username": email, "password": PASSWORD}).encode(), "x-www-form-urlencoded")
    return _post(path, msgspec.json.encode({"email": email, "password": PASSWORD}), "json")


async def register(server: Instance, count: int, domain: str) -> list[str]:
    """Register as many people with a password at ours or the rival, whose routes are alike; return their addresses."""
    emails = [f"person{number}@{domain}" for number in range(count)]
    with closing(connection_to(server.url)) as connection:
        for email in emails:
            body = msgspec.json.encode({"email": email, "password": PASSWORD})
            answer = await connection.exchange(_post("/auth/register", body, "json"))
            if answer.status != 201:
                raise WrongAnswer(f"{server.url}/auth/register answered {answer.status} {answer.body[:200]!r}")
    return emails


def _post(path: str, body: bytes, kind: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
