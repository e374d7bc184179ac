"""Made-up users and sessions: the same for the same seed, written by COPY.

A user's rows depend on the seed and the user's number alone. Sessions count their times back from the moment of the
run, because they have to be valid; their owners, tokens and clients depend on the seed and their numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING
from uuid import UUID

from app.repositories.ids import earliest_id, new_id
from app.security import tokens
from app.security.addresses import SEED_DOMAIN
from app.storage.bulk import Rows
from app.storage.database import Database, Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from app.repositories.invalidations import Invalidations
    from app.storage.bulk import Bulk

PASSWORD = "correct horse battery staple"  # noqa: S105 - it is documented
"""Everybody's password."""

PASSWORD_HASH = "$argon2id$v=19$m=7168,t=5,p=1$KjZQRJBELM8gZS9KEcry9A$W1bSh18EhVEXROuZIG8ckefY71KsKZr7L6W7xgfBNss"  # noqa: S105 - the same

MOST_USERS = 10_000_000
FIRST_MOMENT = datetime(2025, 1, 1, tzinfo=UTC)
"""Users are made one a second from then on, so that their ids have a range of their own."""

RANGE = (earliest_id(FIRST_MOMENT), earliest_id(FIRST_MOMENT + timedelta(seconds=MOST_USERS + 1)))

CLIENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36",
    "okhttp/4.12.0",
)

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_ONE = 1 << 16

PRESENT = Statement("seed_users_present", "SELECT email FROM users WHERE email = ANY($1::text[])")
CLEAR = Statement(
    "seed_users_clear",
    """
    WITH doomed AS (
             SELECT id FROM users WHERE id >= $2 AND id < $3 AND email LIKE '%@seed.invalid' ORDER BY id LIMIT $4
         ),
         stale AS (
             SELECT 'user:profile:' || id AS key FROM doomed
             UNION ALL
             SELECT 'session:' || encode(s.token_hash, 'hex') FROM sessions s JOIN doomed d ON s.user_id = d.id
         ),
         pending AS (
             INSERT INTO pending_invalidations (id, cache_keys)
             SELECT $1, array_agg(key) FROM stale HAVING count(*) > 0
             RETURNING cache_keys
         ),
         gone AS (DELETE FROM users WHERE id IN (SELECT id FROM doomed) RETURNING id)
    SELECT cache_keys, (SELECT count(*) FROM gone) AS users FROM pending
    """,
)


def email_of(number: int) -> str:
    """Return the address of a seeded user; the first is number 1."""
    return f"seed{number}@{SEED_DOMAIN}"


def user_id_of(seed: int, number: int) -> UUID:
    """Return the id of a seeded user."""
    return _id(FIRST_MOMENT + timedelta(seconds=number), _bytes(f"{seed}:{number}"))


def token_of(seed: int, number: int, place: int) -> str:
    """Return the token of a seeded user's session; the first is at place 0."""
    secret = _bytes(f"{seed}:{number}:{place}")[: tokens.SECRET_BYTES]
    return tokens.issue(user_id_of(seed, number), lambda _: secret)[0]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to make. Sessions live ``lifetime`` and are over when unused for ``idle``; all are valid at ``now``."""

    seed: int
    now: datetime
    lifetime: timedelta
    idle: timedelta

    def rows(self, wanted: Sequence[tuple[int, int]]) -> tuple[Rows, Rows, Rows]:
        """Make the rows of users, given by number and count of sessions."""
        users: list[tuple[object, ...]] = []
        profiles: list[tuple[object, ...]] = []
        sessions: list[tuple[object, ...]] = []
        for number, count in wanted:
            created = FIRST_MOMENT + timedelta(seconds=number)
            user_id = _id(created, _bytes(f"{self.seed}:{number}"))
            users.append((user_id, email_of(number), created, PASSWORD_HASH, "user", created))
            profiles.append((user_id, f"Seed {number}", created))
            sessions += [self._session(user_id, number, place) for place in range(count)]
        return (
            Rows("users", ("id", "email", "email_verified_at", "password_hash", "role", "created_at"), users),
            Rows("profiles", ("user_id", "name", "updated_at"), profiles),
            Rows("sessions", _SESSION_COLUMNS, sessions),
        )

    def _session(self, user_id: UUID, number: int, place: int) -> tuple[object, ...]:
        chance = _bytes(f"{self.seed}:{number}:{place}")
        age = self.lifetime * 0.9 * (int.from_bytes(chance[42:44]) / _ONE)
        unused = min(age, self.idle * 0.5) * (int.from_bytes(chance[44:46]) / _ONE)
        created = self.now - age
        return (
            _id(created, chance[32:]),
            user_id,
            sha256(chance[: tokens.SECRET_BYTES]).digest(),
            created,
            self.now - unused,
            created + self.lifetime,
            f"203.0.113.{chance[46]}",
            CLIENTS[chance[47] % len(CLIENTS)],
        )


_SESSION_COLUMNS = (
    *("id", "user_id", "token_hash", "created_at", "last_seen_at", "expires_at"),
    *("address", "client"),
)


class Seeding:
    """Finds, writes and clears seeded users with all that hangs on them."""

    def __init__(
        self, database: Database, bulk: Bulk, invalidations: Invalidations, ids: Callable[[], UUID] = new_id
    ) -> None:
        self._database = database
        self._bulk = bulk
        self._invalidations = invalidations
        self._ids = ids

    async def present(self, numbers: Collection[int]) -> set[int]:
        """Return which users of these numbers are there."""
        by_email = {email_of(number): number for number in numbers}
        return {by_email[row["email"]] for row in await self._database.fetch(PRESENT, list(by_email))}

    async def write(self, recipe: Recipe, wanted: Sequence[tuple[int, int]]) -> None:
        """Write users, given by number and count of sessions, in one transaction."""
        await self._bulk.copy(*recipe.rows(wanted))

    async def clear(self, batch: int) -> int:
        """Delete so many seeded users, of whatever seed, with all that hangs on them; return how many there were."""
        row = self._ids()
        rows = await self._database.fetch(CLEAR, row, *RANGE, batch)
        if not rows:
            return 0
        await self._invalidations.enforce(row, rows[0]["cache_keys"])
        cleared: int = rows[0]["users"]
        return cleared


def _bytes(name: str) -> bytes:
    return blake2b(name.encode()).digest()


def _id(moment: datetime, chance: bytes) -> UUID:
    """Make an id like ``new_id``, of a moment and eight bytes and a half of chance."""
    milliseconds = (moment - _EPOCH) // _MILLISECOND
    upper, lower = int.from_bytes(chance[:2]) & 0xFFF, int.from_bytes(chance[2:10]) >> 2
    return UUID(int=(milliseconds << 80) | _VERSION | (upper << 64) | _VARIANT | lower)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
