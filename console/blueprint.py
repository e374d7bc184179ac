"""The console's routes: each passes the guard first, asks one other part, and answers."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from typing import TYPE_CHECKING, Any, cast

from sanic.response import empty, html, json, raw, redirect

from console.events import Broadcast, TooManyViewers
from console.guard import Guard, Handler, field, wants_json
from console.ports import LoadControl, LoadRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sanic import Blueprint, HTTPResponse, Request, Sanic

    from console.access import Gate
    from console.pages import Pages
    from console.ports import ReportFile
    from console.static_files import StaticFiles

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # Not no-referrer: under that, browsers send `Origin: null` with a form, which could not be told from a foreign one.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_REPORT_CSP = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""For a file that somebody else's program has written, should a browser show it in spite of what it is told."""

_REPORTS: dict[ReportFile, str] = {"report.html": "text/html; charset=utf-8", "result.json": "application/json"}
"""What is handed out of a run, and what type it has."""

EVERY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_LOGIN = "/login"
_STATIC = "/static/<digest:str>/<name:path>"
_OPEN = frozenset({_LOGIN, _STATIC})
"""Paths that answer to everybody: the way in, and files that are no secret."""

_SEND_TIMEOUT = 10.0
"""Seconds that a viewer may leave a full connection unread before the stream is ended."""

_STOP_TIMEOUT = 0.5
"""Seconds that streams have to end by themselves when the server stops."""


class Console:
    """The handlers of one mounted console."""

    def __init__(
        self,
        *,
        gate: Gate,
        guard: Guard,
        pages: Pages,
        load: LoadControl,
        static: StaticFiles,
        broadcast: Broadcast,
        base: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts; ``base`` is the path that the console is mounted under."""
        self._gate = gate
        self._guard = guard
        self._pages = pages
        self._load = load
        self._static = static
        self._broadcast = broadcast
        self._base = base
        self._clock = clock
        self._streams: dict[asyncio.Task[object], asyncio.Future[None]] = {}

    def mount(self, blueprint: Blueprint) -> None:
        """Give the blueprint its routes; every one of them goes through the guard."""
        anyone, visitors = self._guard.anyone, self._guard.visitors
        routes = (
            ("/", ("GET",), visitors(self.overview), "overview"),
            ("/events", ("GET",), visitors(self.events, page=False), "events"),
            ("/session", ("GET",), visitors(self.session, page=False), "session"),
            ("/load/start", ("POST",), visitors(self.start_load), "start_load"),
            ("/load/stop", ("POST",), visitors(self.stop_load), "stop_load"),
            ("/load/runs/<run:str>/<file:str>", ("GET",), visitors(self.report), "report"),
            ("/logout", ("POST",), visitors(self.logout), "logout"),
            (_LOGIN, ("GET",), anyone(self.login), "login"),
            (_LOGIN, ("POST",), anyone(self.paste_token), "paste_token"),
            (_STATIC, ("GET",), anyone(self.static_file), "static_file"),
            ("/<rest:path>", EVERY_METHOD, visitors(self.unknown), "unknown"),
        )
        for path, methods, handler, name in routes:
            blueprint.add_route(handler, path, methods=methods, name=name)
        # Left to the router, the answer to another method would be the host's, and would lack the console's headers.
        for path in dict.fromkeys(path for path, *_ in routes):
            known = [method for at, methods, *_ in routes if at == path for method in methods]
            others = [method for method in EVERY_METHOD if method not in known]
            if others:
                guarded = anyone if path in _OPEN else visitors
                name = "not_allowed" + re.sub(r"\W+", "_", path)
                blueprint.add_route(guarded(self._not_allowed(known)), path, methods=others, name=name)
        blueprint.middleware(_protect, "response")
        blueprint.listener("before_server_stop")(self._end_streams)

    async def overview(self, request: Request, cookie: str) -> HTTPResponse:
        """Answer with the page, its figures in it, and renew the visit."""
        look = await self._pages.look()
        page = html(self._pages.overview(look, form_token=self._gate.form_token(cookie)))
        return self._with_cookie(request, page, self._gate.renew(cookie))

    async def login(self, request: Request) -> HTTPResponse:
        """Exchange the token of a login URL for a cookie, or ask for the token."""
        token = request.args.get("token")
        if token is not None:
            return self._admit(request, token)
        if self._gate.visit(request) is not None:
            return redirect(self._base, status=303)
        # A browser that follows a link from elsewhere leaves strict cookies at home; when our own page sends it
        # onward, it brings them.
        from_elsewhere = request.headers.get("sec-fetch-site") == "cross-site"
        return html(self._pages.login(onward=from_elsewhere))

    async def paste_token(self, request: Request) -> HTTPResponse:
        """Exchange a pasted token for a cookie."""
        return self._admit(request, field(request, "token").strip())

    def _admit(self, request: Request, token: str) -> HTTPResponse:
        if not self._gate.opens(token):
            return html(self._pages.login(wrong=True), status=403)
        return self._with_cookie(request, redirect(self._base, status=303), self._gate.issue())

    def _with_cookie(self, request: Request, response: HTTPResponse, cookie: str) -> HTTPResponse:
        """Give the browser a cookie for as long as it is good; an empty one takes the old one back."""
        ends = self._gate.expiry(cookie)
        response.add_cookie(
            self._gate.cookie_name,
            cookie,
            path=self._base,
            max_age=0 if ends is None else max(0, math.ceil(ends - self._clock())),
            httponly=True,
            secure=request.scheme == "https",
            samesite="Strict",
        )
        return response

    async def logout(self, request: Request, _: str) -> HTTPResponse:
        """Take the cookie back."""
        return self._with_cookie(request, redirect(f"{self._base}/login", status=303), "")

    async def session(self, request: Request, cookie: str) -> HTTPResponse:
        """Tell a script that its visit still stands, and renew it: a page that is watched is not logged out."""
        return self._with_cookie(request, empty(), self._gate.renew(cookie))

    async def start_load(self, request: Request, cookie: str) -> HTTPResponse:
        """Start a load run."""
        try:
            run = await self._load.start(field(request, "scenario"))
        except LoadRefused as refused:
            return await self._load_refused(request, cookie, str(refused))
        return json({"run": run}) if wants_json(request) else redirect(self._base, status=303)

    async def stop_load(self, request: Request, cookie: str) -> HTTPResponse:
        """Stop a load run."""
        run = field(request, "run")
        try:
            await self._load.stop(run)
        except LoadRefused as refused:
            return await self._load_refused(request, cookie, str(refused))
        return json({"run": run}) if wants_json(request) else redirect(self._base, status=303)

    async def _load_refused(self, request: Request, cookie: str, sentence: str) -> HTTPResponse:
        if wants_json(request):
            return json({"message": sentence}, status=409)
        look = await self._pages.look()
        form_token = self._gate.form_token(cookie)
        return html(self._pages.overview(look, form_token=form_token, notice=sentence), status=409)

    async def report(self, request: Request, _: str, run: str, file: str) -> HTTPResponse:
        """Hand out a file of a run's report, to be kept: it is not shown here, where it would be one of our pages."""
        for name, kind in _REPORTS.items():
            if name == file and (content := await self._load.report(run, name)) is not None:
                headers = {
                    "content-disposition": f'attachment; filename="{re.sub(r"[^A-Za-z0-9-]", "-", run)}-{name}"',
                    "content-security-policy": _REPORT_CSP,
                }
                return raw(content, content_type=kind, headers=headers)
        return self._guard.refuse(request, 404, "Not found", "There is no such report.")

    async def static_file(self, _: Request, digest: str, name: str) -> HTTPResponse:
        """Answer with one of the console's own files; they are no secret."""
        file = self._static.find(name)
        if file is None:
            return html(self._pages.message("Not found", "The console has no such file."), status=404)
        caching = {"cache-control": self._static.caching(digest)}
        return raw(file.content, content_type=file.content_type, headers=caching)

    async def unknown(self, request: Request, _: str, rest: str) -> HTTPResponse:
        """Answer for every path that is none, so that nobody but a visitor learns which are."""
        if not rest.strip("/"):
            return redirect(self._base, status=303)
        return self._guard.refuse(request, 404, "Not found", "The console has no such page.")

    def _not_allowed(self, known: list[str]) -> Handler:
        async def refuse(request: Request, *_: str, **__: str) -> HTTPResponse:
            refusal = self._guard.refuse(request, 405, "Not allowed", "The console does not do that here.")
            refusal.headers["allow"] = ", ".join(known)
            return refusal

        return refuse

    async def events(self, request: Request, cookie: str) -> HTTPResponse | None:
        """Stream what changes until the viewer leaves, the visit ends or the server stops."""
        expires = self._gate.expiry(cookie) or 0.0
        try:
            async with self._broadcast.viewer(_since(request)) as events, self._stream():
                await self._send(request, events, expires)
        except TooManyViewers:
            sentence = "Too many consoles are open here; close one, or wait."
            return json({"message": sentence}, status=503, headers={"retry-after": "10"})
        return None

    async def _send(self, request: Request, events: AsyncIterator[bytes], expires: float) -> None:
        response = await request.respond(content_type="text/event-stream", headers={"x-accel-buffering": "no"})
        await response.send("retry: 2000\n\n")
        async for event in events:
            if self._clock() >= expires:
                break
            try:
                async with asyncio.timeout(_SEND_TIMEOUT):
                    await response.send(event)
            except TimeoutError:
                _cut(request)
                return
        await response.eof()

    @contextlib.asynccontextmanager
    async def _stream(self) -> AsyncIterator[None]:
        """Remember that this task streams, so that a stop can end it even while it waits for a viewer to read."""
        task = cast("asyncio.Task[object]", asyncio.current_task())
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._streams[task] = ended
        try:
            yield
        finally:
            del self._streams[task]
            ended.cancel()

    async def _end_streams(self, _: Sanic[Any, Any]) -> None:
        """End streams before the server waits for its connections; a stream would otherwise never let it go.

        Not the task is waited for but what it does now: it serves a connection, and lives on until that is closed.
        """
        self._broadcast.stop()
        streams = dict(self._streams)
        if streams:
            await asyncio.wait(streams.values(), timeout=_STOP_TIMEOUT)
        for task, ended in streams.items():
            if not ended.done():
                task.cancel()


def _cut(request: Request) -> None:
    """Drop the connection of a viewer who does not read: what is buffered for it can no longer be sent or ended."""
    cast("asyncio.Transport", request.transport).abort()


def _since(request: Request) -> int:
    """Return the last second that the viewer has: from the header on a reconnect, from the query on a new start."""
    text = request.headers.get("last-event-id") or request.args.get("since") or "0"
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0  # noqa: PLR2004 - no clock has more


async def _protect(_: Request, response: HTTPResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("cache-control", "no-store")
