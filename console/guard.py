"""What stands before every handler: the host must be known, the visitor let in, and a change one of our own forms."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from sanic import HTTPResponse, Request
from sanic.response import html, json, redirect

from console.access import Gate, same_origin

if TYPE_CHECKING:
    from console.rendering import Renderer

Handler = Callable[..., Coroutine[Any, Any, HTTPResponse | None]]

_UNKNOWN_HOST = "This console does not answer to that host name."
_FOREIGN_FORM = "This form was not sent by a page of this visit. Open the console anew and try again."
_UNREADABLE_FORM = "This form cannot be read; send it as application/x-www-form-urlencoded."
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 64


class UnreadableForm(Exception):
    """What was posted is no form."""


class Guard:
    """Wraps handlers; a refusal is a page for people and JSON for scripts."""

    def __init__(self, *, gate: Gate, renderer: Renderer, base: str) -> None:
        """Take who decides, what renders refusals, and the path that the console is mounted under."""
        self._gate = gate
        self._renderer = renderer
        self._base = base

    def anyone(self, handler: Handler) -> Handler:
        """Let in whoever names a known host and, to change something, comes from our own pages."""

        async def guarded(request: Request, **path: Any) -> HTTPResponse | None:
            if not self._gate.knows_host(request):
                return self.refuse(request, 403, "Unknown host", _UNKNOWN_HOST)
            if request.method == "POST" and not same_origin(request):
                return self.refuse(request, 403, "Not our form", _FOREIGN_FORM)
            try:
                return await handler(request, **path)
            except UnreadableForm:
                return self.refuse(request, 400, "Not a form", _UNREADABLE_FORM)

        return guarded

    def visitors(self, handler: Handler, *, page: bool = True) -> Handler:
        """Let in visitors only, and hand their cookie to the handler; others are shown to the login page or told 401."""

        async def guarded(request: Request, **path: Any) -> HTTPResponse | None:
            cookie = self._gate.visit(request)
            if cookie is None:
                if page and not wants_json(request):
                    return redirect(f"{self._base}/login", status=303)
                return json({"message": "Log in first."}, status=401)
            if request.method == "POST" and not self._gate.form_is_ours(cookie, fields(request).get("form_token", "")):
                return self.refuse(request, 403, "Not our form", _FOREIGN_FORM)
            return await handler(request, cookie, **path)

        return self.anyone(guarded)

    def refuse(self, request: Request, status: int, title: str, sentence: str) -> HTTPResponse:
        """Say no, in the form that was asked for."""
        if wants_json(request):
            return json({"message": sentence}, status=status)
        return html(self._renderer.message(title, sentence), status=status)


def wants_json(request: Request) -> bool:
    """Tell whether a script asks, rather than a person's browser."""
    return request.headers.get("accept", "").startswith("application/json")


def fields(request: Request) -> dict[str, str]:
    """Return the fields of a posted form, the first of each name; raise UnreadableForm for a body that is no form.

    Sanic's own reader logs a traceback for each body that a stranger makes up, and then goes on with an empty form.
    """
    if not request.body:
        return {}
    kind = request.headers.get("content-type", _FORM).partition(";")[0].strip().lower()
    if kind != _FORM:
        raise UnreadableForm
    try:
        found = parse_qs(request.body.decode(), errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise UnreadableForm from None
    return {name: values[0] for name, values in found.items()}
