"""What clients get back."""

from __future__ import annotations

from typing import Any

import msgspec
from sanic import HTTPResponse

_encode = msgspec.json.Encoder().encode


def json(value: Any, status: int = 200) -> HTTPResponse:
    """Answer with a value as JSON that nobody may store."""
    return HTTPResponse(
        _encode(value), status=status, headers={"Cache-Control": "no-store"}, content_type="application/json"
    )


def nothing(headers: dict[str, str] | None = None) -> HTTPResponse:
    """Answer 204."""
    return HTTPResponse(None, status=204, headers={"Cache-Control": "no-store", **(headers or {})})
