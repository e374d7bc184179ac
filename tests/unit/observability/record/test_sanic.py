"""Route templates as conventions write them."""

from __future__ import annotations

import pytest

from observability.record.sanic import template


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("", "/"),
        ("auth/me", "/auth/me"),
        ("users/<user_id:uuid>", "/users/{user_id}"),
        ("users/<id>/posts/<post:int>/end", "/users/{id}/posts/{post}/end"),
        ("console/static/<__file_uri__:path>", "/console/static/{file_uri}"),
    ],
)
def test_a_route_is_written_as_a_template(path: str, written: str) -> None:
    """Sanic's angle brackets become braces, types are left out."""
    assert template(path) == written
