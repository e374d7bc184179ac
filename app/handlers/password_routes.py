"""The routes of verification and of passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanic import Blueprint, HTTPResponse, Request

from app.handlers import bodies
from app.handlers.answers import json, nothing
from app.handlers.bearer import bearer

if TYPE_CHECKING:
    from app.handlers.routes import Services

_ACCEPTED = {"status": "accepted"}
"""Says the same whoever is asked about."""


def password_routes(services: Services) -> Blueprint:
    """Build /auth/verify-email and /auth/password."""
    routes = Blueprint("passwords")

    @routes.post("/auth/verify-email")
    async def verify(request: Request) -> HTTPResponse:
        await services.verification.verify(bodies.mail_token.read(request).token)
        return nothing()

    @routes.post("/auth/verify-email/resend")
    async def resend(request: Request) -> HTTPResponse:
        await services.verification.resend(bodies.mailbox.read(request).email)
        return json(_ACCEPTED, status=202)

    @routes.post("/auth/password")
    async def change(request: Request) -> HTTPResponse:
        token, body = bearer(request), bodies.password_change.read(request)
        await services.passwords.change(token, body.current_password, body.new_password)
        return nothing()

    @routes.post("/auth/password/forgot")
    async def forgot(request: Request) -> HTTPResponse:
        await services.passwords.forgot(bodies.mailbox.read(request).email)
        return json(_ACCEPTED, status=202)

    @routes.post("/auth/password/reset")
    async def reset(request: Request) -> HTTPResponse:
        body = bodies.password_reset.read(request)
        await services.passwords.reset(body.token, body.new_password)
        return nothing()

    return routes
