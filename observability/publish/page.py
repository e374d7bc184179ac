"""GET /metrics: this instance's figures for Prometheus."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal

from sanic import Blueprint, HTTPResponse, Request
from sanic.exceptions import NotFound

from observability.publish.prometheus import exposition_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from observability.publish.prometheus import Answer

Readers = Literal["local", "on", "off"]
"""Who may read: direct requests from this machine, everybody, or nobody."""

_OF_PROXIES = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def metrics_routes(
    read: Callable[[], Awaitable[Answer]], about: Callable[[], Mapping[str, str]], readers: Readers = "local"
) -> Blueprint:
    """Build /metrics of what ``read`` returns. ``about`` returns the attributes of ``target_info``.

    To whoever may not read there is nothing there.
    """
    routes = Blueprint("metrics")

    @routes.get("/metrics")
    async def metrics(request: Request) -> HTTPResponse:
        if readers == "off" or (readers == "local" and not _is_local(request)):
            raise NotFound
        answer = await read()
        accept = request.headers.get("accept", "")
        body, content_type = await asyncio.to_thread(exposition_of, answer, about(), accept)
        return HTTPResponse(body, headers={"Cache-Control": "no-store"}, content_type=content_type)

    return routes


def _is_local(request: Request) -> bool:
    """Return whether a request comes from this machine, and from no proxy on it as far as proxies say so."""
    if any(name in request.headers for name in _OF_PROXIES):
        return False
    try:
        address = ip_address(request.conn_info.client_ip if request.conn_info else "")
    except ValueError:
        return not request.ip  # a Unix socket has no address
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
