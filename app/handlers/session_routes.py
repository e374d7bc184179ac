"""The sessions of a person, as that person sees and ends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanic import Blueprint, HTTPResponse, Request

from app.handlers.answers import json, nothing
from app.handlers.bearer import bearer
from app.handlers.paging import id_of, page_of

if TYPE_CHECKING:
    from app.services.devices import DeviceService


def session_routes(devices: DeviceService) -> Blueprint:
    """Build /auth/sessions."""
    routes = Blueprint("sessions", url_prefix="/auth/sessions")

    @routes.get("")
    async def sessions(request: Request) -> HTTPResponse:
        token = bearer(request)
        return json(await devices.page(token, page_of(request)))

    @routes.delete("/<session_id:str>")
    async def revoke_session(request: Request, session_id: str) -> HTTPResponse:
        await devices.revoke(bearer(request), id_of(session_id))
        return nothing()

    @routes.delete("")
    async def revoke_other_sessions(request: Request) -> HTTPResponse:
        await devices.revoke_others(bearer(request))
        return nothing()

    return routes
