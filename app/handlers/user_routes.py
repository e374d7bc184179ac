"""All users, for administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanic import Blueprint, HTTPResponse, Request

from app.handlers.answers import json
from app.handlers.bearer import bearer
from app.handlers.paging import page_of

if TYPE_CHECKING:
    from app.services.directory import DirectoryService


def user_routes(directory: DirectoryService) -> Blueprint:
    """Build /users."""
    routes = Blueprint("users")

    @routes.get("/users")
    async def users(request: Request) -> HTTPResponse:
        token = bearer(request)
        return json(await directory.page(token, page_of(request)))

    return routes
