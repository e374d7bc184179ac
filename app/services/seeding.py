"""Filling a database with made-up users, in batches that are there whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from app.services.interruption import end_if_cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

BATCH = 2_000
"""Users in one transaction, with their profiles and sessions."""

CLEAR_BATCH = 500

Recipe_contra = TypeVar("Recipe_contra", contravariant=True)


class SeedStore(Protocol[Recipe_contra]):
    """Where made-up users go."""

    async def present(self, numbers: Collection[int]) -> set[int]:
        """Return which users of these numbers are there."""

    async def write(self, recipe: Recipe_contra, wanted: Sequence[tuple[int, int]]) -> None:
        """Write users, given by number and count of sessions, all of them or none."""

    async def clear(self, batch: int) -> int:
        """Delete so many; return how many there were."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """What was written, and how many users were there already."""

    users: int
    sessions: int
    skipped: int

    @property
    def rows(self) -> int:
        """Rows written; a user is two, with the profile."""
        return 2 * self.users + self.sessions


class Seeder(Generic[Recipe_contra]):
    """Writes users 1 to ``users`` with ``sessions`` sessions spread evenly over them."""

    def __init__(self, store: SeedStore[Recipe_contra], recipe: Recipe_contra) -> None:
        self._store = store
        self._recipe = recipe

    async def run(self, users: int, sessions: int, done: Callable[[int], object]) -> Seeded:
        """Write those that are not there; tell ``done`` after each batch how many users more are.

        Users that are there stay as they are, with the sessions they have. Numbers are written in order, so after the
        first batch of which none is there, none is looked for.
        """
        written = opened = skipped = 0
        search = True
        each, more = divmod(sessions, users)
        for first in range(1, users + 1, BATCH):
            numbers = range(first, min(first + BATCH, users + 1))
            present = await self._store.present(numbers) if search else set()
            search = bool(present)
            wanted = [(number, each + (number <= more)) for number in numbers if number not in present]
            if wanted:
                await self._store.write(self._recipe, wanted)
            written += len(wanted)
            opened += sum(count for _, count in wanted)
            skipped += len(present)
            done(len(numbers))
            end_if_cancelled()
        return Seeded(written, opened, skipped)

    async def clear(self) -> int:
        """Delete all made-up users, whatever their seed; return how many there were."""
        cleared = 0
        while count := await self._store.clear(CLEAR_BATCH):
            cleared += count
            end_if_cancelled()
        return cleared
