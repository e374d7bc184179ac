"""`gatewatch serve`: owns every process of an instance from the first to the last."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from app.launcher.banner import Running, banner
from app.launcher.crew import Crew
from app.launcher.errors import LauncherError
from app.launcher.folder import Instance, console_token, hold, last_instance, mail_secret, publish, withdraw
from app.launcher.fork_server import ForkServer
from app.launcher.leftover import end_leftover_workers
from app.launcher.listener import base_url, listen
from app.launcher.load import LoadRuns
from app.launcher.reach import check_postgres, check_redis, check_replica
from app.launcher.servers import Servers
from app.security.lending import Lending
from app.tuning.names import GIVEN, RUN

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence

    from app.settings import Settings

# -P: a folder named "app" where the command is typed must not be taken for ours.
PROGRAM = (sys.executable, "-P", "-m", "app")

# The end of an instance takes 10 s at most; these are its parts, one after another.
LOAD_PATIENCE = 1.0
DRAIN_PATIENCE = 5.5
SERVER_PATIENCE = 3.0

LEFTOVER_PATIENCE = 5.5
SECRETS = (
    "DATABASE_URL",
    "DATABASE_REPLICA_URLS",
    "REDIS_URL",
    "SMTP_URL",
    "GATEWATCH_CONSOLE_TOKEN",
    "GATEWATCH_SECRET",
)


class Launcher:
    """One instance. `run` returns when it was told to stop, and raises what keeps it from serving.

    `program` begins the command line of the fork server and of load runs, `migrate` brings the database to the present schema,
    `say` shows a line to the user.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        *,
        migrate: Callable[[str], Awaitable[None]],
        program: Sequence[str] = PROGRAM,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._migrate = migrate
        self._program = tuple(program)
        self._say = say or show
        self._folder = settings.data_dir.absolute()
        self._stop = asyncio.Event()
        self._hasten = asyncio.Event()
        self._started = time.monotonic()
        self._run = secrets.token_hex(8)
        self._listener: socket.socket | None = None
        self._lending: int | None = None
        self._forks: ForkServer | None = None
        self._crew: Crew | None = None
        self._load: LoadRuns | None = None
        self._servers = Servers(
            self._folder, postgres=settings.database_url is None, redis=settings.redis_url is None, say=self._say
        )

    async def run(self) -> None:
        """Start everything, keep it going until a signal, stop everything."""
        with hold(self._folder), self._signals():
            try:
                await self._unless_stopped(self._bring_up())
                await self._stop.wait()
            finally:
                await self._take_down()

    async def _bring_up(self) -> None:
        settings = self._settings
        patience = await self._recover()
        self._listener = await asyncio.to_thread(listen, settings, patience)
        if settings.database_url is None and not (self._folder / "postgres").exists():
            self._say(f"Making a PostgreSQL in {self._folder / 'postgres'}")
        await _to_the_end(self._servers.start())
        database_url, redis_url = await self._urls()
        await self._migrate(database_url)
        token = settings.console_token or console_token(self._folder)
        url = base_url(settings.host, settings.port)
        instance = Instance(
            pid=os.getpid(), url=url, database_url=database_url, redis_url=redis_url, console_token=token
        )
        await self._serve(instance)
        publish(self._folder, instance)
        self._say(banner(self._running(instance)))

    async def _recover(self) -> float:
        """See to what a launcher that was killed left here; return how long its port may still be taken, in seconds."""
        if last_instance(self._folder) is None:
            return 0
        self._say("The last instance here was killed; waiting for what it left to end")
        killed = await asyncio.to_thread(end_leftover_workers, self._folder, LEFTOVER_PATIENCE)
        if killed:
            self._say(f"Ended {killed} of its workers by force")
        withdraw(self._folder)
        return 1.0

    async def _urls(self) -> tuple[str, str]:
        """Return where PostgreSQL and Redis are, after trying what was named in the settings."""
        checks: list[Awaitable[None]] = []
        database_url, redis_url = self._settings.database_url, self._settings.redis_url
        if self._servers.postgres is not None:
            database_url = self._servers.postgres.url
        elif database_url is not None:
            checks.append(check_postgres(database_url))
        if self._servers.redis is not None:
            redis_url = self._servers.redis.url
        elif redis_url is not None:
            checks.append(check_redis(redis_url))
        await asyncio.gather(*checks)
        if database_url is None or redis_url is None:
            raise LauncherError("an embedded server has no address")
        for url in self._settings.replica_urls:
            if away := await check_replica(url, database_url):
                self._say(away)
        return database_url, redis_url

    async def _serve(self, instance: Instance) -> None:
        """Start the workers and return when all of them are ready."""
        environment = self._worker_environment(instance)
        harmless = {name: value for name, value in environment.items() if name not in SECRETS}
        load = self._load = LoadRuns(
            self._program, self._folder, instance.url, harmless, allowed=self._settings.load_allowed
        )
        listener = self._listener
        if listener is None:
            raise LauncherError("there is no listening socket")
        lending = self._lending = Lending.make(self._settings.workers)
        forks = self._forks = ForkServer(self._program, listener, lending, environment, load.answer, self._say)
        self._crew = Crew(self._settings.workers, forks.fork, self._say)
        self._crew.start()
        await self._crew.until_ready()

    def _worker_environment(self, instance: Instance) -> dict[str, str]:
        settings = self._settings
        return {
            **self._environment,
            "DATABASE_URL": instance.database_url,
            "REDIS_URL": instance.redis_url,
            "GATEWATCH_DATA_DIR": str(self._folder),
            "GATEWATCH_SLO": str(settings.slo.absolute()),
            "GATEWATCH_CONSOLE_TOKEN": instance.console_token,
            "GATEWATCH_SECRET": settings.secret or mail_secret(self._folder),
            "GATEWATCH_LOAD": "on" if settings.load_allowed else "off",
            "GATEWATCH_INSTANCE": settings.instance or f"{socket.gethostname()}:{settings.port}",
            RUN: self._run,
            GIVEN: ",".join(self._environment),
        }

    def _running(self, instance: Instance) -> Running:
        return Running(
            url=instance.url,
            console_token=instance.console_token,
            workers=self._settings.workers,
            seconds=time.monotonic() - self._started,
            folder=self._places(),
            database_url=instance.database_url,
            redis_url=instance.redis_url,
            database_is_ours=self._servers.postgres is not None,
            redis_is_ours=self._servers.redis is not None,
            load_allowed=self._settings.load_allowed,
        )

    def _places(self) -> str:
        """Return where the data is, also when PostgreSQL's had to be placed elsewhere."""
        postgres = self._folder / "postgres"
        if self._servers.postgres is None or not postgres.is_symlink():
            return str(self._folder)
        return f"{self._folder}  (PostgreSQL's in {postgres.resolve()})"

    async def _take_down(self) -> None:
        """Stop what runs, in the order in which one thing uses another."""
        if self._load is not None:
            self._load.interrupt()
            await self._load.ended(LOAD_PATIENCE)
        if self._listener is not None:
            self._listener.close()
        if self._crew is not None:
            await self._crew.stop(DRAIN_PATIENCE, self._hasten)
        if self._forks is not None:
            await self._forks.stop()
        if self._lending is not None:
            os.close(self._lending)
        if self._load is not None:
            await self._load.stop(LOAD_PATIENCE)
        await self._servers.stop(SERVER_PATIENCE)
        withdraw(self._folder)
        if self._stop.is_set():
            self._say("Stopped")

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> None:
        """Do `work`, but give it up as soon as a signal asks us to stop."""
        working = asyncio.create_task(work)
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
        if not working.cancelled():
            working.result()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._told_to_stop)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _told_to_stop(self) -> None:
        if self._stop.is_set():
            self._hasten.set()
            return
        self._stop.set()
        self._say("\nStopping: requests in flight are finished first; press Ctrl-C again to hasten")


def show(line: str) -> None:
    """Print a line. A terminal that is gone keeps nobody from stopping in order."""
    with contextlib.suppress(OSError, ValueError):
        print(line, flush=True)  # noqa: T201 - a command's output


async def _to_the_end(work: Coroutine[None, None, None]) -> None:
    """Do `work` to its end even when cancelled meanwhile, and be cancelled then: what it started must be known to us."""
    working = asyncio.create_task(work)
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise
