"""The `gatewatch` command. Each command imports what it needs when it runs, so that ``--help`` is quick."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import gc
import importlib
import logging
import os
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import click

from app import __version__
from app.alerts_command import alerts_commands
from app.commands import seed_command, user_commands
from app.hash_command import hash_commands
from app.priority import quietly
from app.security.lending import Lending
from app.settings import FIELDS, Settings, SettingsError
from app.terminal import counted

if TYPE_CHECKING:
    from loadgen.flags import Defaults


class Commands(click.Group):
    """Turns errors that are meant for a person into one line and exit code 1; any other stays a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if not _is_for_a_person(error):
                raise
            refuse(_sentence(error))


class ServeCommand(click.Command):
    """`serve`, whose help is the list of all settings."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write every setting with its default."""
        with formatter.section("Settings, from the environment"):
            formatter.write_dl([(field.name, f"{field.says} [{field.default}]") for field in FIELDS])


class LoadCommand(click.Command):
    """`load SCENARIO` and `load knee` as the load generator brings them, and `load purge`, which only the application can do."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Hand over to the one that is meant."""
        if args[:1] == ["purge"]:
            return purge.make_context(f"{info_name} purge", args[1:], *rest, **extra)
        from loadgen.cli import load_command  # noqa: PLC0415 - quick --help
        from loadgen.flags import Told  # noqa: PLC0415 - the same
        from loadgen.knee_cli import knee_command  # noqa: PLC0415 - the same

        told = Told(
            target="the running instance, else where GATEWATCH_HOST and GATEWATCH_PORT say",
            slo="GATEWATCH_SLO",
            data_dir="GATEWATCH_DATA_DIR",
            metrics="/metrics",
        )
        if args[:1] == ["knee"]:
            command = knee_command(_load_defaults, told=told)
            return command.make_context(f"{info_name} knee", args[1:], *rest, **extra)
        command = load_command(
            _load_defaults,
            told=told,
            more="`gatewatch load knee` looks for the highest rate that meets the targets (--help says how). "
            "`gatewatch load purge` deletes the users that runs made.",
        )
        return command.make_context(info_name, args, *rest, **extra)


class CompareCommand(click.Command):
    """`compare A B` as the load generator brings it."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Hand over to it."""
        from loadgen.compare_cli import compare_command  # noqa: PLC0415 - quick --help

        command = compare_command(lambda: Settings.from_environment(os.environ).data_dir, kept_in="GATEWATCH_DATA_DIR")
        return command.make_context(info_name, args, *rest, **extra)


class ReportCommand(click.Command):
    """`report RUN` as the load generator brings it."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Hand over to it."""
        from loadgen.report_cli import report_command  # noqa: PLC0415 - quick --help

        command = report_command(lambda: Settings.from_environment(os.environ).data_dir, kept_in="GATEWATCH_DATA_DIR")
        return command.make_context(info_name, args, *rest, **extra)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gatewatch")
def cli() -> None:
    """Gatewatch: an authentication and profile service that shows what it is doing while it does it."""


@cli.command(cls=ServeCommand, short_help="Run the service, with all it needs.")
def serve() -> None:
    """Run the service: PostgreSQL and Redis if none are named, workers, console."""
    from app.launcher import Launcher  # noqa: PLC0415 - quick --help
    from app.passwords import password_rule  # noqa: PLC0415 - quick --help
    from app.storage.migrate import migrate as migrate_database  # noqa: PLC0415 - quick --help
    from observability.model import SloError, load_slo  # noqa: PLC0415 - quick --help

    settings = Settings.from_environment(os.environ)
    try:
        load_slo(settings.slo)
    except SloError as error:
        raise SettingsError(f"GATEWATCH_SLO: {error}") from None
    password_rule(settings)

    async def run() -> None:
        await Launcher(settings, os.environ, migrate=migrate_database).run()

    asyncio.run(run())


@cli.command(short_help="Bring the database to the present schema.")
def migrate() -> None:
    """Bring the database to the present schema. `serve` does this by itself."""
    from app.storage.migrate import migrate as migrate_database  # noqa: PLC0415 - quick --help

    settings = _with_running_instance(Settings.from_environment(os.environ))

    async def run() -> None:
        await migrate_database(settings.database_url or "")

    asyncio.run(run())
    click.echo("The database has the present schema.")


cli.add_command(
    LoadCommand(
        "load",
        help="Send honest load and judge the answers; `load purge` deletes the users it made.",
        short_help="Send load and judge it; `load purge` tidies up.",
    )
)
cli.add_command(
    CompareCommand(
        "compare",
        help="Compare two load runs: what really changed, and what is only noise.",
        short_help="Tell what changed between two load runs.",
    )
)
cli.add_command(
    ReportCommand(
        "report",
        help="Tell a load run again, and make its page anew.",
        short_help="Tell a load run again, and make its page anew.",
    )
)


@click.command("purge")
def purge() -> None:
    """Delete the users that load runs made (addresses under load.invalid)."""
    from app.server import purge_load_users  # noqa: PLC0415 - quick --help

    settings = _instance_settings()

    async def run() -> int:
        return await purge_load_users(settings)

    count = asyncio.run(run())
    click.echo(f"{counted(count, 'user')} deleted")


def _instance_settings() -> Settings:
    """Return the settings of the stores that a command works on: those that are named, else the running instance's.

    A database that cannot be reached is refused here. Without Redis much can be done: the change waits for it.
    """
    from app.launcher.reach import check_postgres  # noqa: PLC0415 - quick --help

    settings = _with_running_instance(Settings.from_environment(os.environ))
    if settings.redis_url is None:
        raise SettingsError(
            "DATABASE_URL is set, REDIS_URL is not, and the instance on the data folder is none of that database; "
            "set REDIS_URL to that service's, whose caches must be told of changes"
        )
    asyncio.run(check_postgres(settings.database_url or "", advice="; start it, or correct DATABASE_URL"))
    return settings


cli.add_command(user_commands(_instance_settings))
cli.add_command(seed_command(_instance_settings))
cli.add_command(hash_commands)
cli.add_command(alerts_commands)


@cli.command("_fork_server", hidden=True)
@click.option("--channel-fd", type=int, required=True)
def fork_server(channel_fd: int) -> NoReturn:
    """Fork workers; the launcher starts this."""
    gc.disable()  # until there is a worker: reading code makes no garbage worth looking for
    # Reading the server's code takes most of a second, which is not to be taken from the workers that serve already.
    warm = quietly(partial(importlib.import_module, "app.fork_server"))
    number, listener, lending, control = warm.fork_workers(socket.socket(fileno=channel_fd))
    gc.enable()
    settings = Settings.from_environment(os.environ)
    code = warm.run_worker(settings, listener, control, number, Lending(lending, number))
    # Without taking all objects apart first, tens of milliseconds of a core that the other workers need.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Run the command line."""
    cli(prog_name="gatewatch")


def refuse(message: str) -> NoReturn:
    """End with one line on stderr."""
    click.echo(f"gatewatch: {message}", err=True)
    sys.exit(1)


def _is_for_a_person(error: Exception) -> bool:
    from app.embedded import EmbeddedError  # noqa: PLC0415 - only when something failed
    from app.errors import GatewatchError  # noqa: PLC0415 - the same
    from app.launcher import LauncherError  # noqa: PLC0415 - the same

    if isinstance(error, SettingsError | EmbeddedError | LauncherError | GatewatchError):
        return True
    # No disk, no permission: the operating system's sentence says all there is.
    return isinstance(error, OSError) and (error.filename is not None or error.errno == errno.ENOSPC)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return " ".join(str(error).split())


def _load_defaults() -> Defaults:
    """Return what a load run aims at: the port that was named, else the instance running on our data folder."""
    from app.launcher import running_instance  # noqa: PLC0415 - quick --help
    from app.launcher.listener import base_url  # noqa: PLC0415 - the same
    from loadgen.flags import Defaults  # noqa: PLC0415 - the same

    settings = Settings.from_environment(os.environ)
    instance = None if "GATEWATCH_PORT" in os.environ else running_instance(settings.data_dir)
    target = instance.url if instance is not None else base_url(settings.host, settings.port)
    return Defaults(target=target, slo=settings.slo, data_dir=settings.data_dir, metrics="/metrics")


def _with_running_instance(settings: Settings) -> Settings:
    """Fill in whichever store was not named from the instance that runs on the data folder."""
    if settings.database_url is not None and settings.redis_url is not None:
        return settings
    from app.launcher import running_instance  # noqa: PLC0415 - quick --help

    instance = running_instance(settings.data_dir)
    if settings.database_url is not None:
        # Another database's service has another Redis; ours would be told of changes that are none of its own.
        if instance is not None and instance.database_url == settings.database_url:
            return dataclasses.replace(settings, redis_url=instance.redis_url)
        return settings
    if instance is None:
        raise SettingsError(f"no instance runs on {settings.data_dir}; start one with `make run`, or set DATABASE_URL")
    return dataclasses.replace(
        settings, database_url=instance.database_url, redis_url=settings.redis_url or instance.redis_url
    )


if __name__ == "__main__":
    main()
