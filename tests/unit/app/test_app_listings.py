"""Pages, and what a client is called in a list."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from app.handlers.origins import client_name
from app.handlers.paging import id_of
from app.listings import Page


class Thing(msgspec.Struct, frozen=True):
    """Something with an id."""

    id: UUID


@pytest.mark.parametrize(("there", "shown", "leads_on"), [(0, 0, False), (2, 2, False), (3, 3, False), (4, 3, True)])
def test_a_cursor_is_given_only_when_there_is_more(there: int, shown: int, leads_on: bool) -> None:
    """The item behind the page tells, and the cursor is the last item of the page, so that none is left out."""
    page = Page(limit=3)
    things = [Thing(UUID(int=number)) for number in range(1, there + 1)]
    cut, cursor = page.cut(things[: page.one_more.limit])
    assert list(cut) == things[:shown]
    assert cursor == (cut[-1].id if leads_on else None)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("Firefox/140.0", "Firefox/140.0"), ("", None), (" \t\x00 ", None), ("a\x00b\x1b[31mc\x7f\x85", "ab[31mc"),
        ("x" * 300, "x" * 255), ("\u202eevil", "evil"), ("\udcff\ud800ok", "ok"), ("\x01" * 5000 + "x", None), ("Zoë", "Zoë"),
    ],
)  # fmt: skip
def test_a_client_is_shown_by_what_can_be_seen_of_its_name(sent: str, shown: str | None) -> None:
    """Control characters, surrogates and marks of direction are gone, and no name is longer than its column."""
    assert client_name(sent) == shown


@pytest.mark.parametrize(
    "text", ["", "x", "0" * 32, "{01890a5d-ac96-774b-bcce-b302099a8057}", "urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057"]
)  # fmt: skip
def test_an_id_has_one_spelling(text: str) -> None:
    """What Python's UUID takes beside the canonical form is no id here."""
    assert id_of(text) is None
    assert id_of("01890A5D-ac96-774b-bcce-b302099a8057") == UUID("01890a5d-ac96-774b-bcce-b302099a8057")
