"""The routes of the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sanic import Blueprint, HTTPResponse, Request

from app.handlers import bodies
from app.handlers.answers import json, nothing
from app.handlers.bearer import bearer
from app.handlers.express import stored_of
from app.handlers.origins import origin_of

if TYPE_CHECKING:
    from app.services.accounts import AccountService
    from app.services.devices import DeviceService
    from app.services.directory import DirectoryService
    from app.services.health import HealthService
    from app.services.limits import LimitService
    from app.services.passwords import PasswordService
    from app.services.profiles import ProfileService
    from app.services.sessions import SessionService
    from app.services.verification import VerificationService


@dataclass(frozen=True, slots=True)
class Services:
    """What the handlers call."""

    accounts: AccountService
    sessions: SessionService
    devices: DeviceService
    directory: DirectoryService
    profiles: ProfileService
    verification: VerificationService
    passwords: PasswordService
    health: HealthService
    limits: LimitService | None = None


def auth_routes(services: Services) -> Blueprint:
    """Build /auth and /users."""
    routes = Blueprint("auth")

    @routes.post("/auth/register")
    async def register(request: Request) -> HTTPResponse:
        body = bodies.registration.read(request)
        return json(await services.accounts.register(body.email, body.password, body.name), status=201)

    @routes.post("/auth/login")
    async def login(request: Request) -> HTTPResponse:
        body = bodies.credentials.read(request)
        return json(await services.accounts.login(body.email, body.password, origin_of(request)))

    @routes.get("/auth/check")
    async def check(request: Request) -> HTTPResponse:
        session = await services.sessions.check(bearer(request), stored_of(request))
        return nothing({"X-User-Id": str(session.user_id), "X-Session-Id": str(session.id)})

    @routes.get("/auth/me")
    async def me(request: Request) -> HTTPResponse:
        return json(await services.sessions.me(bearer(request), stored_of(request)))

    @routes.post("/auth/logout")
    async def logout(request: Request) -> HTTPResponse:
        await services.sessions.logout(bearer(request))
        return nothing()

    @routes.put("/users/profile")
    async def profile(request: Request) -> HTTPResponse:
        token = bearer(request)
        return json(await services.profiles.update(token, bodies.profile_change.read(request)))

    return routes


def health_routes(services: Services) -> Blueprint:
    """Build /health."""
    routes = Blueprint("health", url_prefix="/health")

    @routes.get("/live")
    async def live(_: Request) -> HTTPResponse:
        return json({"status": "ok"})

    @routes.get("/ready")
    async def ready(_: Request) -> HTTPResponse:
        readiness = await services.health.readiness()
        return json(readiness, status=200 if readiness.status in {"ok", "degraded"} else 503)

    return routes
