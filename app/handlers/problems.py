"""Errors as problem details (RFC 9457): the one place that knows which error is which HTTP status."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from sanic import HTTPResponse, Request
from sanic.exceptions import (
    BadRequest,
    HeaderExpectationFailed,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RequestCancelled,
    RequestTimeout,
    SanicException,
    ServiceUnavailable,
)
from sanic.handlers import ErrorHandler

from app import errors
from observability.record.sanic import note_error, trace_id

CONTENT_TYPE = "application/problem+json"

_log = logging.getLogger("gatewatch")

_STATUS: dict[type[errors.GatewatchError], tuple[int, str]] = {
    errors.InvalidRequest: (400, "The request cannot be read"),
    errors.TokenRejected: (400, "Token rejected"),
    errors.NotAuthenticated: (401, "Not authenticated"),
    errors.CredentialsRejected: (401, "Credentials rejected"),
    errors.Forbidden: (403, "Forbidden"),
    errors.NotFound: (404, "Not found"),
    errors.EmailNotVerified: (403, "Email address not verified"),
    errors.EmailTaken: (409, "Email address taken"),
    errors.UnsupportedMediaType: (415, "Unsupported media type"),
    errors.InvalidFields: (422, "Fields break a rule"),
    errors.RateLimited: (429, "Too many requests"),
    errors.Unavailable: (503, "Temporarily unavailable"),
    errors.GatewatchError: (500, "Internal error"),
}

_FOREIGN: dict[type[SanicException], tuple[str, str]] = {
    NotFound: ("not-found", "there is nothing at this path"),
    MethodNotAllowed: ("method-not-allowed", "this path does not answer this method"),
    PayloadTooLarge: ("payload-too-large", "the body is larger than this service reads"),
    RequestTimeout: ("request-timeout", "the request did not arrive in time"),
    HeaderExpectationFailed: ("expectation-failed", "this expectation cannot be met"),
    ServiceUnavailable: ("response-timeout", "the answer took too long"),
    BadRequest: ("invalid-request", "the request is not well-formed HTTP"),
}
"""What Sanic raises by itself, and what is said of it; its own messages may repeat what a stranger sent."""

_LATER = "Temporarily unavailable"
_BROKEN = ("Internal error", "internal", "something went wrong on our side")


class FieldProblem(msgspec.Struct, frozen=True):
    """One field and what is wrong with it."""

    field: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem document. ``code`` is stable; ``trace_id`` finds the request in the tracing system."""

    title: str
    status: int
    code: str
    detail: str
    trace_id: str
    type: str = "about:blank"
    errors: tuple[FieldProblem, ...] = ()


class ProblemHandler(ErrorHandler):
    """Answers every exception of every request with a problem document."""

    def default(self, request: Request | None, exception: Exception) -> HTTPResponse:
        """Translate one exception."""
        if isinstance(exception, errors.GatewatchError):
            return _ours(request, exception)
        if isinstance(exception, SanicException) and exception.status_code < 500:  # noqa: PLR2004 - the caller's doing
            return _sanic(request, exception)
        if isinstance(exception, ServiceUnavailable):
            return _answer(request, 503, _LATER, *_FOREIGN[ServiceUnavailable], retry_after=1)
        if not isinstance(exception, RequestCancelled):  # who left broke nothing, and reads nothing
            _log.error("a request failed unexpectedly", exc_info=exception)
        return _answer(request, 500, *_BROKEN)


def meaning(kind: type[errors.GatewatchError]) -> tuple[int, str]:
    """Return the status and title that an error of ours is answered with."""
    return next(_STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in _STATUS)


def anytime() -> list[tuple[int, str, str, str]]:
    """Return status, title, code and detail of what any request may be answered with, whatever it asks for."""
    kinds = (BadRequest, RequestTimeout, PayloadTooLarge, HeaderExpectationFailed)
    sent = [(kind.status_code, _title(kind.status_code), *_FOREIGN[kind]) for kind in kinds]
    return [*sent, (500, *_BROKEN), (503, _LATER, *_FOREIGN[ServiceUnavailable])]


def _ours(request: Request | None, error: errors.GatewatchError) -> HTTPResponse:
    status, title = meaning(type(error))
    fields: tuple[FieldProblem, ...] = ()
    if isinstance(error, errors.InvalidFields):
        fields = tuple(FieldProblem(e.field, e.detail) for e in error.errors)
    retry_after = error.retry_after if isinstance(error, errors.Unavailable | errors.RateLimited) else None
    return _answer(request, status, title, error.code, str(error), errors=fields, retry_after=retry_after)


def _sanic(request: Request | None, error: SanicException) -> HTTPResponse:
    kind = next((kind for kind in type(error).__mro__ if kind in _FOREIGN), BadRequest)
    code, detail = _FOREIGN[kind]
    response = _answer(request, error.status_code, _title(error.status_code), code, detail)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


def _title(status: int) -> str:
    return {
        400: "The request cannot be read",
        404: "Not found",
        405: "Method not allowed",
        408: "Request timed out",
        413: "Payload too large",
        417: "Expectation failed",
    }.get(status, "The request cannot be granted")


def _answer(
    request: Request | None,
    status: int,
    title: str,
    code: str,
    detail: str,
    *,
    errors: tuple[FieldProblem, ...] = (),
    retry_after: int | None = None,
) -> HTTPResponse:
    trace = ""
    if request is not None:
        note_error(request, code)
        trace = trace_id(request)
    body = msgspec.json.encode(Problem(title, status, code, detail, trace, errors=errors))
    headers: dict[str, Any] = {"Cache-Control": "no-store"}
    if request is not None:
        headers |= getattr(request.ctx, "rate_limit", {})
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if status == 401:  # noqa: PLR2004 - RFC 9110, 15.5.2 demands a challenge
        headers["WWW-Authenticate"] = "Bearer"
    return HTTPResponse(body, status=status, headers=headers, content_type=CONTENT_TYPE)
