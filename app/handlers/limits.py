"""Rate limits around the handlers: which routes have them is one table, and no handler knows of it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from app.errors import NotAuthenticated, RateLimited, Unavailable
from app.handlers.bearer import bearer
from app.handlers.clients import client_address
from app.security.clients import client_of
from app.security.limits import Demand, MemoryBuckets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sanic import HTTPResponse, Request, Sanic

    from app.security.limits import Limit
    from app.services.limits import Admission, LimitService

    Handler = Callable[..., Awaitable[HTTPResponse]]
    Admit = Callable[[LimitService, Request], Awaitable[Admission]]

TABLE: Mapping[tuple[str, str], Admit] = {
    ("POST", "/auth/register"): lambda limits, request: limits.registration(client_address(request), _email(request)),
    ("POST", "/auth/login"): lambda limits, request: limits.login(client_address(request), _email(request)),
    ("POST", "/auth/verify-email"): lambda limits, request: limits.redemption("verify-email", client_address(request)),
    ("POST", "/auth/verify-email/resend"): lambda limits, request: limits.mail(
        "resend", client_address(request), _email(request)
    ),
    ("POST", "/auth/password"): lambda limits, request: limits.password_change(
        client_address(request), _digest(request)
    ),
    ("POST", "/auth/password/forgot"): lambda limits, request: limits.mail(
        "forgot", client_address(request), _email(request)
    ),
    ("POST", "/auth/password/reset"): lambda limits, request: limits.redemption("reset", client_address(request)),
}
"""Routes whose limits all instances share."""

HOT: frozenset[tuple[str, str]] = frozenset({("GET", "/auth/check"), ("GET", "/auth/me")})
"""Routes that are asked too often to ask Redis first: each process limits them for itself."""


class OwnLimit:
    """How often each client may ask one route of this process."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._buckets, self._interval, self._depth = MemoryBuckets(), limit.interval, limit.depth

    def spend(self, address: str) -> int:
        """Let a client ask once and return 0, or return the microseconds that it has to wait."""
        return self._buckets.spend(client_of(address), self._interval, self._depth)

    def give_back(self, address: str) -> None:
        """Take back that a client asked."""
        self._buckets.give_back([Demand(client_of(address), "all", self._interval, self._depth, 0)])


def limit_routes(app: Sanic[Any, Any], limits: LimitService) -> dict[str, OwnLimit]:
    """Put its limits around the handler of every route of the two tables. Call it when all routes are there.

    Return the limits of the hot routes by path.
    """
    own = {path: OwnLimit(limits.limits.checks) for _, path in HOT}
    for route in app.router.routes:
        for method in route.methods:
            place = (method, f"/{route.path}")
            if place in TABLE:
                route.handler = _shared(route.handler, TABLE[place], limits)
            elif place in HOT:
                route.handler = _own(route.handler, own[place[1]])
    return own


def _shared(handler: Handler, admit: Admit, limits: LimitService) -> Handler:
    @functools.wraps(handler)
    async def limited(request: Request, **values: Any) -> HTTPResponse:
        try:
            admission = await admit(limits, request)
        except RateLimited as refusal:
            request.ctx.rate_limit = _refused(refusal)
            raise
        request.ctx.rate_limit = _admitted(admission)
        try:
            response = await handler(request, **values)
        except Unavailable:  # it was not even tried: that must not count as a guess
            await limits.give_back(admission, welcome=False)
            raise
        await limits.give_back(admission, welcome=True)
        response.headers.update(request.ctx.rate_limit)
        return response

    return limited


def _own(handler: Handler, own: OwnLimit) -> Handler:
    limit = own.limit

    @functools.wraps(handler)
    async def limited(request: Request) -> HTTPResponse:
        wait = own.spend(client_address(request))
        if wait:
            refusal = RateLimited("client", quota=limit.quota, window=limit.seconds, wait=wait)
            request.ctx.rate_limit = _refused(refusal)
            raise refusal
        return await handler(request)

    return limited


def _admitted(admission: Admission) -> dict[str, str]:
    return _fields("client", admission.quota, admission.window, admission.left, admission.reset)


def _refused(refusal: RateLimited) -> dict[str, str]:
    return _fields(refusal.policy, refusal.quota, refusal.window, 0, refusal.retry_after)


def _fields(policy: str, quota: int, window: int, left: int, reset: int) -> dict[str, str]:
    """Spell a policy and how one stands under it as draft-ietf-httpapi-ratelimit-headers-10 does."""
    return {"RateLimit-Policy": f'"{policy}";q={quota};w={window}', "RateLimit": f'"{policy}";r={left};t={reset}'}


class _Mailbox(msgspec.Struct, frozen=True):
    email: str


_mailbox = msgspec.json.Decoder(_Mailbox)


def _email(request: Request) -> str | None:
    """Return the address that a body names, as its own reader will find it; None when that will refuse the body."""
    try:
        return _mailbox.decode(request.body).email
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _digest(request: Request) -> bytes | None:
    try:
        return bearer(request).digest
    except NotAuthenticated:
        return None
