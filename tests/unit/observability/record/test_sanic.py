"""Route templates as conventions write them."""

from __future__ import annotations

import pytest

from observability.record.sanic import template
from observability.record.spans import span_name


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


@pytest.mark.parametrize(
    ("method", "route", "name"),
    [("GET", "/users/{id}", "GET /users/{id}"), ("GET", "", "GET"), ("_OTHER", "", "HTTP")],
)
def test_a_span_is_named_by_template(method: str, route: str, name: str) -> None:
    """A span's name never holds a path, nor a method that nobody knows."""
    assert span_name(method, route) == name
