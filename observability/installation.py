"""Telemetry for any Sanic application in one line: ``install(app)``.

It works under ``app.run()`` with Sanic's worker manager (spawned or forked), in a single process, and under
``create_server()``. Not under ASGI servers, which leave no place to see a request's first and last byte from.
"""

from __future__ import annotations

import functools
import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import wrapt
from sanic import Sanic
from sanic.logging.formatter import DEFAULT_FIELDS
from sanic.server.protocols.http_protocol import HttpProtocol
from sanic.server.protocols.websocket_protocol import WebSocketProtocol

from observability.model import Slo, load_slo
from observability.publish.page import metrics_routes
from observability.record.timing import tell_timing
from observability.record.watchdog import BLOCKED_AFTER
from observability.telemetry import Telemetry, attributes_of, is_disabled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from observability.model.stream import Commands
    from observability.publish.page import Readers
    from observability.publish.prometheus import Answer
    from observability.read.feed import Feed

_logger = logging.getLogger(__name__)


def install(  # noqa: PLR0913 - each is named, and most callers leave most out
    app: Sanic[Any, Any],
    *,
    service: str = "",
    version: str = "",
    instance: str = "",
    slo: Path | Slo | None = None,
    redis: Callable[[], Commands] | None = None,
    metrics: Readers = "local",
    blocked_after: float = BLOCKED_AFTER,
    server_timing: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Installation:
    """Give an application telemetry; call it before the application runs. A second call returns what the first made.

    ``service`` is its name unless ``OTEL_SERVICE_NAME`` says otherwise, by default the application's own. ``instance``
    names this process tree in the fleet, by default host and port. ``slo`` are targets or the file that has them.
    ``redis`` makes a client in each worker, of telemetry's own and not decoding replies, through which workers find each
    other; without it each is alone. ``metrics`` says who may read GET /metrics; "off" adds no route. What holds the event
    loop up for ``blocked_after`` seconds is named with its stack; 0 names nothing. ``server_timing`` adds a header to every
    response that tells what it took, to strangers as well.
    """
    known: Installation | None = getattr(app.ctx, "observability", None)
    if known is not None:
        known.enabled = not is_disabled(known.environment)
        return known
    targets = load_slo(slo) if isinstance(slo, Path) else slo or Slo()
    given = environment or os.environ
    installed = Installation(app, service or app.name, version, instance, targets, redis, given, blocked_after)
    app.ctx.observability = installed
    _offer_protocol()
    app.before_server_start(installed.start)
    app.after_server_stop(installed.stop)
    if server_timing and installed.enabled:
        app.on_response(tell_timing)
    if metrics != "off" and installed.enabled:
        app.blueprint(metrics_routes(installed.read, installed.about, metrics))
    return installed


class Installation:
    """The telemetry of one application, as ``app.ctx.observability``; each worker process has a ``telemetry`` of its own."""

    def __init__(
        self,
        app: Sanic[Any, Any],
        service: str,
        version: str,
        instance: str,
        slo: Slo,
        redis: Callable[[], Commands] | None,
        environment: Mapping[str, str],
        blocked_after: float = BLOCKED_AFTER,
    ) -> None:
        self.environment = environment
        self._blocked_after = blocked_after
        self.enabled = not is_disabled(environment)
        """False leaves requests alone from the next start of the server on."""
        self.feed = cast("Feed", _FeedOfWorker(self))
        """What a console shows."""
        self._app = app
        self._service = service
        self._version = version
        self._instance = instance
        self._slo = slo
        self._redis = redis
        self.environment = environment
        self._client: Commands | None = None
        self._telemetry: tuple[int, Telemetry] | None = None

    @property
    def telemetry(self) -> Telemetry:
        """The telemetry of this process, made when first asked for: a forked worker must not be its parent."""
        if self._telemetry is None or self._telemetry[0] != os.getpid():
            self._telemetry = os.getpid(), self._made()
        return self._telemetry[1]

    def about(self) -> dict[str, str]:
        """Return who is measured."""
        return attributes_of(self._service, self._version, self._name(), self.environment)

    async def read(self) -> Answer:
        """Return what the workers of this instance have counted."""
        return await self.telemetry.instance.read()

    async def start(self, _: object = None) -> None:
        """Begin to publish; Sanic calls it when a worker starts."""
        if self.enabled:
            # What every record has is no extra of one line, which Sanic's own formatter would tell in debug mode.
            DEFAULT_FIELDS.update(("trace_id", "span_id"))
            if self._app.asgi:
                _logger.warning("requests are not recorded: an ASGI server leaves no place to see them from")
            self._client = self._redis() if self._redis else None
            await self.telemetry.start(self._client)

    async def stop(self, _: object = None) -> None:
        """Send what is left; Sanic calls it when a worker ends."""
        if self._telemetry is None:
            return
        await self.telemetry.stop()
        if (close := getattr(self._client, "aclose", None)) is not None:
            await close()
        self._client = self._telemetry = None

    def _made(self) -> Telemetry:
        return Telemetry(
            service=self._service,
            version=self._version,
            instance=self._name(),
            slo=self._slo,
            environment=self.environment,
            blocked_after=self._blocked_after,
            first=os.environ.get("SANIC_WORKER_NAME", "-0-0").endswith("-0-0"),
        )

    def _name(self) -> str:
        if self._instance:
            return self._instance
        served = self._app.state.server_info
        settings = served[0].settings if served else {}
        # Sanic's manager binds the socket before it spawns workers, and leaves the port at that.
        bound = settings["sock"].getsockname()[1:2] if settings.get("sock") else ()
        port = settings.get("port") or (bound[0] if bound else "")
        return f"{socket.gethostname()}:{port}".rstrip(":")


class InstalledProtocol(WebSocketProtocol):
    """Stands for the protocol of whichever telemetry its application has: known by name, it can be sent to a spawned worker."""

    __slots__ = ()

    def __new__(cls, *args: Any, app: Sanic[Any, Any], **kwargs: Any) -> Any:
        """Return a protocol that records for the application."""
        return app.ctx.observability.telemetry.protocol(*args, app=app, **kwargs)


@functools.cache
def _offer_protocol() -> None:
    """Let applications that are installed be served with our protocol, whichever way; once a process is enough.

    All ways to serve pass one of these two methods, and Sanic has no other place to name a protocol of an application.
    """
    for method in ("prepare", "create_server"):
        wrapt.wrap_function_wrapper(Sanic, method, _with_our_protocol)


def _with_our_protocol(serve: Callable[..., Any], app: Sanic[Any, Any], args: Any, options: dict[str, Any]) -> Any:
    installed: Installation | None = getattr(app.ctx, "observability", None)
    if installed is not None and installed.enabled:
        if options.get("protocol") in {None, HttpProtocol, WebSocketProtocol}:
            options["protocol"] = InstalledProtocol
        elif options["protocol"] is not InstalledProtocol:
            _logger.warning("requests are not recorded: the application is served with a protocol of its own")
    return serve(*args, **options)


class _FeedOfWorker:
    """The feed of the telemetry of whichever process asks."""

    def __init__(self, installed: Installation) -> None:
        self._installed = installed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._installed.telemetry.feed, name)
