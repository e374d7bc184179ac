"""/docs: the document for programs, the page for people, and the page's stylesheet. Nothing from elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from sanic import Blueprint, HTTPResponse, Request

from app.handlers.openapi import document
from app.handlers.openapi_operations import OPERATIONS
from app.handlers.openapi_page import render
from app.handlers.problems import anytime

if TYPE_CHECKING:
    from app.handlers.openapi_operations import Operation

NAME = "docs"
CSP = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {
    "Content-Security-Policy": CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_ASK_AGAIN = {"Cache-Control": "no-cache"}
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_STYLESHEET = Path(__file__).parent / "static" / "docs.css"


def docs_routes(*, shortest_password: int, operations: tuple[Operation, ...] = OPERATIONS) -> Blueprint:
    """Build /docs. What it serves is made here, once."""
    routes = Blueprint(NAME, url_prefix="/docs")
    css = _STYLESHEET.read_bytes()
    css_path = f"/{hashlib.sha256(css).hexdigest()[:16]}/docs.css"
    described = document(operations, shortest_password=shortest_password)
    encoded = msgspec.json.encode(described)
    page = render(described, css=f"/docs{css_path}", shared=frozenset(code for _, _, code, _ in anytime())).encode()

    @routes.get("/")
    async def docs(_: Request) -> HTTPResponse:
        return HTTPResponse(page, headers={**_HEADERS, **_ASK_AGAIN}, content_type="text/html; charset=utf-8")

    @routes.get("/openapi.json")
    async def openapi(_: Request) -> HTTPResponse:
        return HTTPResponse(encoded, headers={**_HEADERS, **_ASK_AGAIN}, content_type="application/json")

    @routes.get(css_path)
    async def stylesheet(_: Request) -> HTTPResponse:
        return HTTPResponse(css, headers={**_HEADERS, **_FOR_EVER}, content_type="text/css; charset=utf-8")

    return routes
