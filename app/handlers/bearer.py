"""The token that a request carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import NotAuthenticated
from app.security.tokens import Token, parse

if TYPE_CHECKING:
    from sanic import Request


def bearer(request: Request) -> Token:
    """Return the bearer token of a request, or raise NotAuthenticated (RFC 6750, 2.1)."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    token = parse(text.strip()) if scheme.lower() == "bearer" else None
    if token is None:
        raise NotAuthenticated("send Authorization: Bearer with a token from POST /auth/login")
    return token
