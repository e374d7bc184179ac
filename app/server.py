"""Where the concrete parts meet: opened once a worker, closed after it has drained."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, Self

from sanic import Sanic

from app.errors import GatewatchError
from app.handlers.express import Express, express
from app.handlers.limits import limit_routes
from app.handlers.openapi_routes import docs_routes
from app.handlers.password_routes import password_routes
from app.handlers.problems import ProblemHandler
from app.handlers.routes import Services, auth_routes, health_routes
from app.handlers.session_routes import session_routes
from app.handlers.strict import StrictRequest, strict
from app.handlers.user_routes import user_routes
from app.limits import open_limits
from app.mailer.assembly import MailParts
from app.meters import command_meter, query_meter
from app.passwords import hasher_of_worker, password_rule
from app.repositories.accounts import Accounts
from app.repositories.aside import CacheAside
from app.repositories.invalidations import Invalidations
from app.security.clients import TrustedProxies
from app.services.accounts import AccountService
from app.services.completion import Completion
from app.services.health import HealthService
from app.services.profiles import ProfileService
from app.sessions import SessionParts
from app.storage.cache import Cache
from app.storage.database import Database, PoolOptions, Statement
from app.storage.replicas import Replicas
from console import Access, LoadControl, create_console
from observability.record.recorder import Recorder
from observability.record.timing import tell_timing

if TYPE_CHECKING:
    from sanic.server.protocols.http_protocol import HttpProtocol

    from app.security.lending import Lending
    from app.security.passwords import Passwords
    from app.services.ports import Clock
    from app.settings import Settings
    from console.tuning import LiveSettings, Plans, Trials
    from observability.record.meters import PoolMeter
    from observability.telemetry import Telemetry

MOST_BODY_BYTES = 64 * 1024
WRITE_DEADLINE = 10.0
"""Seconds after which a write whose client may be long gone is given up."""

_PING = Statement("ping", "SELECT 1 AS one")
_numbers = itertools.count(1)
_log = logging.getLogger("gatewatch")


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that holds a connection, a thread or a task."""

    database: Database
    replicas: Replicas
    cache: Cache
    aside: CacheAside
    passwords: Passwords
    completion: Completion
    invalidations: Invalidations
    services: Services
    sessions: SessionParts
    mail: MailParts
    sweeping: asyncio.Task[None]
    housekeeping: asyncio.Task[None]

    @classmethod
    async def open(
        cls,
        settings: Settings,
        recorder: Recorder,
        clock: Clock = utc_now,
        number: int = 1,
        lending: Lending | None = None,
    ) -> Self:
        """Open them for the worker of a number; the URLs of both stores must be set."""
        database = await Database.open(
            _url(settings.database_url),
            _pool_options(settings),
            _pool_meter(settings, recorder),
            query_meter(recorder, _url(settings.database_url)),
        )
        replicas = database.replicas = await _open_replicas(settings, database, recorder)
        url = _url(settings.redis_url)
        cache = Cache.at(url, timeout=settings.redis_timeout, meter=command_meter(recorder, url))
        cache.open()
        passwords = hasher_of_worker(settings, recorder, number, lending)
        await passwords.open()
        rule = password_rule(settings)
        completion = Completion(deadline=WRITE_DEADLINE)
        invalidations = Invalidations(database, cache, utc_now)
        aside = CacheAside(cache, coalescing=settings.coalescing)
        sessions = SessionParts.build(settings, database, aside, invalidations, completion, recorder, clock)
        mail = MailParts.build(settings, database, aside, invalidations, completion, recorder, clock)
        accounts = Accounts(database, invalidations)
        services = Services(
            accounts=AccountService(
                accounts,
                sessions.store,
                passwords,
                completion,
                clock,
                gate=mail.gate,
                session_lifetime=settings.session_lifetime,
                rule=rule,
            ),
            sessions=sessions.checks,
            devices=sessions.devices,
            directory=sessions.directory,
            profiles=ProfileService(sessions.checks, accounts, completion, clock),
            verification=mail.verification,
            passwords=mail.passwords(sessions.checks, passwords, rule),
            health=HealthService(
                {"postgresql": lambda: database.fetch(_PING), "redis": cache.ping},
                time.monotonic,
                spares=replicas.parts,
            ),
            limits=open_limits(settings, cache),
        )
        sweeping = asyncio.get_running_loop().create_task(invalidations.keep())
        return cls(
            database,
            replicas,
            cache,
            aside,
            passwords,
            completion,
            invalidations,
            services,
            sessions,
            mail,
            sweeping,
            sessions.keep(),
        )

    async def close(self) -> None:
        """Let writes end, then close everything."""
        await self.completion.drain(timeout=3)
        self.sweeping.cancel()
        self.housekeeping.cancel()
        await self.mail.close()
        await self.sessions.close()
        with contextlib.suppress(GatewatchError, TimeoutError):
            async with asyncio.timeout(1):
                await self.invalidations.settle()
        self.passwords.close()
        await self.cache.close()
        await self.replicas.close()
        await self.database.close()


class Tuning(Protocol):
    """What the console tunes by."""

    @property
    def live(self) -> LiveSettings:
        """Settings that can be changed."""

    @property
    def plans(self) -> Plans:
        """Plans of queries."""

    @property
    def trials(self) -> Trials:
        """Trials of a change."""


def create_app(
    settings: Settings, services: Services, telemetry: Telemetry, load: LoadControl, tuning: Tuning | None = None
) -> Sanic[Any, Any]:
    """Put the routes of the API and the console on a Sanic application."""
    # Sanic keeps a registry of names, and a process may serve more than one application after another.
    app = Sanic(
        f"gatewatch-{next(_numbers)}",
        error_handler=ProblemHandler(),
        request_class=StrictRequest,
        configure_logging=False,
    )
    app.config.REQUEST_MAX_SIZE = MOST_BODY_BYTES
    app.config.REQUEST_TIMEOUT = 5
    app.config.RESPONSE_TIMEOUT = 30
    app.config.KEEP_ALIVE_TIMEOUT = 75
    app.config.ACCESS_LOG = False
    app.config.INSPECTOR = False
    app.config.MOTD = False
    app.ctx.trusted_proxies = TrustedProxies(settings.trusted_proxies)
    app.blueprint(auth_routes(services))
    app.blueprint(password_routes(services))
    app.blueprint(session_routes(services.devices))
    app.blueprint(user_routes(services.directory))
    app.blueprint(health_routes(services))
    app.blueprint(docs_routes(shortest_password=settings.password_min_length))
    app.blueprint(telemetry.metrics_page(settings.metrics))
    timing = settings.server_timing and telemetry.enabled
    if timing:
        app.on_response(tell_timing)
    own = limit_routes(app, services.limits) if services.limits else {}  # after the last route of the API
    app.ctx.express = Express(services.sessions, own, app.ctx.trusted_proxies, timing=timing)
    if settings.console_token:
        hosts = {"localhost", "127.0.0.1", "::1", settings.host.lower(), *settings.console_hosts}
        access = Access(settings.console_token, frozenset(hosts))
        app.blueprint(
            create_console(
                feed=telemetry.feed,
                load=load,
                access=access,
                service="Gatewatch",
                settings=tuning.live if tuning else None,
                plans=tuning.plans if tuning else None,
                trials=tuning.trials if tuning else None,
                trace_url=settings.trace_url,
            )
        )
    return app


def create_protocol(settings: Settings, telemetry: Telemetry) -> type[HttpProtocol]:
    """Return the protocol to serve the application with: recorded, strict, and short where it can be."""
    return express(strict(telemetry.protocol, most_connections=settings.max_connections_of_worker))


async def purge_load_users(settings: Settings) -> int:
    """Delete every account under load.invalid with its sessions; return how many there were."""
    recorder = Recorder(instance="purge", worker="purge")
    database = await Database.open(
        _url(settings.database_url), _pool_options(settings), _pool_meter(settings, recorder)
    )
    cache = Cache.at(_url(settings.redis_url), timeout=settings.redis_timeout)
    try:
        accounts = Accounts(database, Invalidations(database, cache, utc_now))
        return await accounts.purge_load_users()
    finally:
        await cache.close()
        await database.close()


def _url(url: str | None) -> str:
    if url is None:
        raise ValueError("a worker is always given its DATABASE_URL and REDIS_URL")
    return url


def _pool_options(settings: Settings) -> PoolOptions:
    return PoolOptions(
        size=settings.pool_size_of_worker,
        most=settings.most_pool_size_of_worker,
        max_wait=settings.pool_max_wait,
        idle_timeout=settings.pool_idle_timeout,
        validate_after=settings.pool_validate_after,
        query_timeout=settings.query_timeout,
    )


def _pool_meter(settings: Settings, recorder: Recorder) -> PoolMeter:
    return recorder.pool("postgresql", settings.pool_size_of_worker)


async def _open_replicas(settings: Settings, primary: Database, recorder: Recorder) -> Replicas:
    size = settings.pool_size_of_worker
    names = {f"postgresql-replica-{number}": url for number, url in enumerate(settings.replica_urls, 1)}
    servers = {name: (url, recorder.pool(name, size), query_meter(recorder, url)) for name, url in names.items()}
    return await Replicas.open(servers, _pool_options(settings), primary, max_lag=settings.replica_max_lag)
