"""What is said of a body that is not of the shape that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.errors import InvalidFields
from app.handlers import bodies

if TYPE_CHECKING:
    from sanic.request import Request


class _Posted:
    """A request, as far as a reader looks."""

    def __init__(self, body: bytes) -> None:
        self.headers = {"content-type": "application/json"}
        self.body = body


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"name":1}', "name: expected string or null, got integer"),
        (b'{"bio":1.5}', "bio: expected string or null, got number"),
        (b'{"bio":true}', "bio: expected string or null, got boolean"),
        (b'{"bio":[]}', "bio: expected string or null, got array"),
        (b"[]", "expected object, got array"),
    ],
)
def test_types_are_named_as_json_names_them(body: bytes, says: str) -> None:
    """Nobody outside has to know what Python calls a string."""
    request: Request = _Posted(body)  # type: ignore[assignment]  # it has what is read
    with pytest.raises(InvalidFields) as caught:
        bodies.profile_change.read(request)
    assert str(caught.value) == says
