"""The token that a request carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import NotAuthenticated
from app.security.tokens import Token, parse

if TYPE_CHECKING:
    from sanic import Request


def bearer(request: Request) -> Token:
    """Return the bearer token of a request, or raise NotAuthenticated (RFC 6750, 2.1)."""
    token = token_of(request.headers.get("authorization", ""))
    if token is None:
        raise NotAuthenticated("send Authorization: Bearer with a token from POST /auth/login")
    return token


def token_of(authorization: str) -> Token | None:
    """Return the token in an Authorization header's value, or None."""
    scheme, _, text = authorization.partition(" ")
    return parse(text.strip()) if scheme.lower() == "bearer" else None
