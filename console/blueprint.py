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
from console.guard import Guard, Handler, fields, wants_json
from console.pages.page import Ask, NothingThere, Refused, asked, path_arguments

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from sanic import Blueprint, HTTPResponse, Request, Sanic

    from console.access import Gate
    from console.pages.page import Action, Download, Page
    from console.rendering import Renderer
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
_FILE_CSP = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""For a file that somebody else's program has written, should a browser show it in spite of what it is told."""

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
        pages: Mapping[str, Page],
        renderer: Renderer,
        static: StaticFiles,
        broadcast: Broadcast,
        base: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts; ``base`` is the path that the console is mounted under."""
        self._gate = gate
        self._guard = guard
        self._pages = pages
        self._renderer = renderer
        self._static = static
        self._broadcast = broadcast
        self._base = base
        self._clock = clock
        self._streams: dict[asyncio.Task[object], asyncio.Future[None]] = {}

    def mount(self, blueprint: Blueprint) -> None:
        """Give the blueprint its routes; every one of them goes through the guard."""
        anyone, visitors = self._guard.anyone, self._guard.visitors
        routes: list[tuple[str, tuple[str, ...], Handler, str]] = [
            ("/events", ("GET",), visitors(self.events, page=False), "events"),
            ("/session", ("GET",), visitors(self.session, page=False), "session"),
            ("/logout", ("POST",), visitors(self.logout), "logout"),
            (_LOGIN, ("GET",), anyone(self.login), "login"),
            (_LOGIN, ("POST",), anyone(self.paste_token), "paste_token"),
            (_STATIC, ("GET",), anyone(self.static_file), "static_file"),
        ]
        for page in self._pages.values():
            routes.append((f"/{page.path}", ("GET",), visitors(self._shown(page)), f"page_{page.name}"))
            for below, action in page.actions().items():
                routes.append(
                    (f"/{page.path}/{below}", ("POST",), visitors(self._done(page, action)), f"do_{page.name}_{below}")
                )
            for number, (below, download) in enumerate(page.downloads().items()):
                handler = visitors(self._handed_out(download))
                routes.append((f"/{page.path}/{below}", ("GET",), handler, f"file_{page.name}_{number}"))
        routes.append(("/<rest:path>", EVERY_METHOD, visitors(self.unknown), "unknown"))
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

    def _shown(self, page: Page) -> Handler:
        """Answer with a page, its figures in it, and renew the visit."""

        async def show(request: Request, cookie: str, **path: str) -> HTTPResponse:
            try:
                text = await self._page(request, cookie, page, asked(page, request.args.get, path))
            except NothingThere as nothing:
                return self._guard.refuse(request, 404, "Not found", str(nothing))
            return self._with_cookie(request, html(text), self._gate.renew(cookie))

        return show

    async def _page(
        self,
        request: Request,
        cookie: str,
        page: Page,
        ask: Ask,
        refused: Refused | None = None,
        shown: Mapping[str, Any] | None = None,
    ) -> str:
        look = await self._renderer.look(page, ask)
        look.context.update(shown or {})
        theme = request.cookies.get("console_theme") or ""
        return self._renderer.page(
            look,
            form_token=self._gate.form_token(cookie),
            theme=theme if theme in {"light", "dark"} else "",
            notice=str(refused or ""),
            field=refused.field if refused else "",
            given=refused.given if refused else {},
        )

    def _done(self, page: Page, action: Action) -> Handler:
        """Do what a form of a page asks for; a refusal is shown on that page, or told to its script."""

        async def do(request: Request, cookie: str, **path: str) -> HTTPResponse:
            try:
                outcome = await action({**fields(request), **path})
            except Refused as refused:
                if wants_json(request):
                    about = {"field": refused.field} if refused.field else {}
                    return json({"message": str(refused), **about}, status=409)
                text = await self._page(request, cookie, page, asked(page, request.args.get, path), refused)
                return html(text, status=409)
            if wants_json(request):
                return json(outcome.answer)
            if outcome.shown:
                ask = asked(page, request.args.get, path)
                return html(await self._page(request, cookie, page, ask, shown=outcome.shown))
            return redirect(self._renderer.url(outcome.page, Ask(), **outcome.arguments) or self._base, status=303)

        return do

    def _handed_out(self, download: Download) -> Handler:
        """Hand out a file, to be kept: it is not shown here, where it would be one of our pages."""

        async def hand_out(request: Request, _: str, **path: str) -> HTTPResponse:
            file = await download(**path)
            if file is None:
                return self._guard.refuse(request, 404, "Not found", "There is no such file.")
            headers = {
                "content-disposition": f'attachment; filename="{file.name}"',
                "content-security-policy": _FILE_CSP,
            }
            return raw(file.content, content_type=file.content_type, headers=headers)

        return hand_out

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
        return html(self._renderer.login(onward=from_elsewhere))

    async def paste_token(self, request: Request) -> HTTPResponse:
        """Exchange a pasted token for a cookie."""
        return self._admit(request, fields(request).get("token", "").strip())

    def _admit(self, request: Request, token: str) -> HTTPResponse:
        if not self._gate.opens(token):
            return html(self._renderer.login(wrong=True), status=403)
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

    async def static_file(self, request: Request, digest: str, name: str) -> HTTPResponse:
        """Answer with one of the console's own files; they are no secret."""
        file = self._static.find(name)
        if file is None:
            return html(self._renderer.message("Not found", "The console has no such file."), status=404)
        caching = {"cache-control": self._static.caching(digest), "vary": "accept-encoding"}
        if file.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            caching |= {"content-encoding": "gzip"}
            return raw(file.compressed, content_type=file.content_type, headers=caching)
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
        page = self._pages.get(request.args.get("page") or "overview")
        if page is None:
            return json({"message": "There is no such page."}, status=404)
        ask = asked(page, request.args.get, _path_arguments(page, request))
        try:
            async with self._broadcast.viewer(page, ask, _since(request)) as events, self._stream():
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


def _path_arguments(page: Page, request: Request) -> dict[str, str]:
    """Read from the query what the page itself has in its path."""
    return {name: request.args.get(name) or "" for name in path_arguments(page.path)}


def _since(request: Request) -> int:
    """Return the last second that the viewer has: from the header on a reconnect, from the query on a new start."""
    text = request.headers.get("last-event-id") or request.args.get("since") or "0"
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0  # noqa: PLR2004 - no clock has more


async def _protect(_: Request, response: HTTPResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("cache-control", "no-store")
