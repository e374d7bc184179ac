"""What a session check costs beside Sanic's bare JSON handler, on one core, with everything on that is on by default."""

from __future__ import annotations

import asyncio
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from app.repositories.ids import new_id
from app.security.tokens import issue
from benchmarks.driver import Cost, drive
from benchmarks.instance import DRIVER_CORE, Instance, gatewatch, rival
from benchmarks.table import Row, paired

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

TOKENS = 1000
PAIRS = int(os.environ.get("BENCH_PAIRS", "5"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))


def measure() -> list[Row]:
    """Measure, and return one row a comparison."""
    os.sched_setaffinity(0, {DRIVER_CORE})
    with (
        tempfile.TemporaryDirectory() as folder,
        gatewatch(Path(folder) / "data") as ours,
        rival(ours.redis_url) as other,
    ):
        return asyncio.run(_measure(ours, other))


async def _measure(ours: Instance, other: Instance) -> list[Row]:
    tokens = await _sessions(ours.database_url)
    check, me = _requests("/auth/check", tokens), _requests("/auth/me", tokens)
    bare, naive = _requests("/json", tokens), _requests("/naive", tokens)

    async def run(server: Instance, payloads: Sequence[bytes], status: int, connections: int) -> Cost:
        return await drive(
            server.url, payloads, status=status, pid=server.pid, connections=connections, seconds=SECONDS
        )

    for server, payloads, status in ((ours, me, 200), (ours, check, 204), (other, bare, 200), (other, naive, 204)):
        await run(server, payloads, status, 32)
    rows = []
    for name, payloads, status, connections in (
        ("GET /auth/check, warm", check, 204, 32),
        ("GET /auth/me, warm", me, 200, 32),
        ("GET /auth/check, warm", check, 204, 4),
        ("GET /auth/me, warm", me, 200, 4),
    ):
        mine, theirs = [], []
        for _ in range(PAIRS):
            mine.append(await run(ours, payloads, status, connections))
            theirs.append(await run(other, bare, 200, connections))
        rows.append(paired(name, "bare Sanic JSON handler", connections, mine, theirs))
    mine, theirs = [], []
    for _ in range(PAIRS):
        mine.append(await run(ours, check, 204, 32))
        theirs.append(await run(other, naive, 204, 32))
    rows.append(paired("GET /auth/check, warm", "Sanic + one redis.asyncio GET", 32, mine, theirs))
    return rows


async def _sessions(database_url: str) -> list[str]:
    """Open sessions of as many users; return their tokens."""
    now = datetime.now(UTC)
    made: list[tuple[UUID, UUID, str, bytes]] = []
    for _ in range(TOKENS):
        user_id = new_id()
        text, token = issue(user_id)
        made.append((user_id, new_id(), text, token.digest))
    sql = await asyncpg.connect(database_url)
    await sql.executemany(
        "INSERT INTO users (id, email, password_hash, role, created_at) VALUES ($1, $2, 'x', 'user', $3)",
        [(user_id, f"{user_id}@load.invalid", now) for user_id, *_ in made],
    )
    await sql.executemany(
        "INSERT INTO profiles (user_id, updated_at) VALUES ($1, $2)", [(user_id, now) for user_id, *_ in made]
    )
    await sql.executemany(
        """
        INSERT INTO sessions (id, user_id, token_hash, created_at, last_seen_at, expires_at)
        VALUES ($1, $2, $3, $4, $4, $5)
        """,
        [(session_id, user_id, digest, now, now + timedelta(days=1)) for user_id, session_id, _, digest in made],
    )
    await sql.close()
    return [text for _, _, text, _ in made]


def _requests(path: str, tokens: Sequence[str]) -> list[bytes]:
    return [f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode() for token in tokens]
