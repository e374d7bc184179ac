"""Kept traces as they travel."""

from __future__ import annotations

import pytest

from observability.model import KeptTrace, SnapshotError, decode_kept, encode_kept
from observability.model.kept import KEPT_VERSION


def kept(method: str = "GET", route: str = "/me", version: int = KEPT_VERSION) -> KeptTrace:
    """Return a trace without children."""
    return KeptTrace(
        version,
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "00f067aa0ba902b7",
        "",
        method,
        route,
        200,
        "",
        "slow",
        1.0,
        2.0,
        (),
    )


@pytest.mark.parametrize(
    ("method", "route", "name"),
    [("GET", "/users/{id}", "GET /users/{id}"), ("GET", "", "GET"), ("_OTHER", "", "HTTP")],
)
def test_a_span_is_named_by_template(method: str, route: str, name: str) -> None:
    """A span's name never holds a path, nor a method that nobody knows."""
    assert kept(method, route).name == name


def test_a_trace_of_another_version_is_refused() -> None:
    """What travels is read back as it was; another version's is not guessed at."""
    assert decode_kept(encode_kept(kept())) == kept()
    with pytest.raises(SnapshotError):
        decode_kept(encode_kept(kept(version=KEPT_VERSION + 1)))
