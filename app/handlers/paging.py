"""Which page of a list is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from app.errors import FieldError, InvalidFields
from app.listings import DEFAULT_LIMIT, FIRST_ID, MOST_ITEMS, Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from sanic import Request

Value = TypeVar("Value")


def page_of(request: Request) -> Page:
    """Read ``cursor`` and ``limit`` from the query string; raise InvalidFields, which names what cannot be used."""
    wrong: list[FieldError] = []
    given = request.get_args(keep_blank_values=True)

    def take(field: str, parse: Callable[[str], Value], default: Value) -> Value:
        values = given.getlist(field, [])
        if len(values) > 1:
            wrong.append(FieldError(field, "must be given once"))
        elif values:
            try:
                return parse(values[0])
            except ValueError as error:
                wrong.append(FieldError(field, str(error)))
        return default

    page = Page(take("cursor", _cursor, FIRST_ID), take("limit", _limit, DEFAULT_LIMIT))
    if wrong:
        raise InvalidFields(*wrong)
    return page


def id_of(text: str) -> UUID | None:
    """Read an id in its one spelling, in lower or upper case; None when it is not one."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text.lower() else None


def _cursor(text: str) -> UUID:
    found = id_of(text)
    if found is None:
        raise ValueError("must be the next_cursor of an earlier page")
    return found


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST_ITEMS)) and 1 <= int(text) <= MOST_ITEMS):
        raise ValueError(f"must be a whole number from 1 to {MOST_ITEMS}")
    return int(text)
