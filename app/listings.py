"""The frozen values of lists: what stands in them, and the pages they come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar
from uuid import UUID

import msgspec

from app.values import Moment

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_ID = UUID(int=0)
"""The cursor of the first page: every id is larger."""

DEFAULT_LIMIT = 20
MOST_ITEMS = 100


class Origin(msgspec.Struct, frozen=True):
    """Where and with what a session was opened, as far as it is known."""

    address: str | None = None
    client: str | None = None


UNKNOWN_ORIGIN = Origin()


class DeviceRow(msgspec.Struct, frozen=True):
    """A session as its owner's list finds it."""

    id: UUID
    created_at: Moment
    last_seen_at: Moment
    expires_at: Moment
    origin: Origin


class Device(msgspec.Struct, frozen=True):
    """A session as its owner sees it; ``current`` is the one that asks."""

    id: UUID
    created_at: Moment
    last_seen_at: Moment
    expires_at: Moment
    address: str | None
    client: str | None
    current: bool


class ListedUser(msgspec.Struct, frozen=True):
    """A user as an administrator's list shows it."""

    id: UUID
    email: str
    email_verified: bool
    role: str
    name: str | None
    created_at: Moment
    disabled_at: Moment | None


class Identified(Protocol):
    """What has an id to go on from."""

    @property
    def id(self) -> UUID:
        """The id."""


Item = TypeVar("Item", bound=Identified)


class Page(msgspec.Struct, frozen=True):
    """Which part of a list is wanted: at most ``limit`` items whose ids are larger than ``cursor``, in order.

    Ids sort by creation, so what is added while somebody turns the pages comes behind the last one.
    """

    cursor: UUID = FIRST_ID
    limit: int = DEFAULT_LIMIT

    @property
    def one_more(self) -> Page:
        """The same page with the item behind it, which tells whether there is another."""
        return Page(self.cursor, self.limit + 1)

    def cut(self, items: Sequence[Item]) -> tuple[Sequence[Item], UUID | None]:
        """Cut what ``one_more`` found down to this page; return it with the cursor of the next, None after the last."""
        if len(items) <= self.limit:
            return items, None
        return items[: self.limit], items[self.limit - 1].id


class DevicePage(msgspec.Struct, frozen=True):
    """Some of a person's sessions."""

    items: tuple[Device, ...]
    next_cursor: UUID | None


class UserPage(msgspec.Struct, frozen=True):
    """Some of all users."""

    items: tuple[ListedUser, ...]
    next_cursor: UUID | None
