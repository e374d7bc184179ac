"""Where a request came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sanic import Request

    from app.security.clients import TrustedProxies


def client_address(request: Request) -> str:
    """Return the client's address: the peer's, or what a trusted proxy says of it; empty when the socket has none."""
    proxies: TrustedProxies = request.app.ctx.trusted_proxies
    return proxies.client(request.ip, request.headers.getall("x-forwarded-for", ()))
