"""The commands that change data: `user ...` and `seed`. Each imports what it needs when it runs."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, TypeVar

import click

from app.import_command import import_command
from app.terminal import counted, progress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.services.administration import Administration
    from app.services.seeding import Seeded
    from app.settings import Settings

Result = TypeVar("Result")

MOST_USERS = 10_000_000
MOST_SESSIONS = 100_000_000
_LONGEST_LINE = 4096


def user_commands(settings: Callable[[], Settings]) -> click.Group:
    """Build `user`; ``settings`` finds the stores of the instance that is meant."""

    def run(work: Callable[[Administration], Awaitable[Result]]) -> Result:
        from app.errands import administration  # noqa: PLC0415 - quick --help

        async def done(meant: Settings) -> Result:
            async with administration(meant) as opened:
                return await work(opened)

        return asyncio.run(done(settings()))

    @click.group("user", short_help="Create, import, promote, disable and enable users.")
    def user() -> None:
        """Create, import, promote, demote, disable and enable users."""

    @user.command("create")
    @click.argument("email")
    @click.option("--admin", is_flag=True, help="Make it an administrator, who may list all users.")
    @click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
    def create(email: str, admin: bool, password_stdin: bool) -> None:  # noqa: FBT001 - click's way
        """Create a user whose address counts as verified. Asks for the password."""
        password = _first_line() if password_stdin else _typed()
        created = run(lambda opened: opened.create(email, password, admin=admin))
        click.echo(f"{created} can log in{' and is an administrator' if admin else ''}")

    @user.command("disable")
    @click.argument("email")
    def disable(email: str) -> None:
        """Keep a user out: end all sessions at once and refuse logins."""
        ended = run(lambda opened: opened.disable(email))
        click.echo(f"{email.strip()} is disabled; {counted(ended, 'session')} ended")

    @user.command("enable")
    @click.argument("email")
    def enable(email: str) -> None:
        """Let a disabled user log in again."""
        click.echo(f"{run(lambda opened: opened.enable(email))} can log in")

    @user.command("promote")
    @click.argument("email")
    def promote(email: str) -> None:
        """Make a user an administrator."""
        click.echo(f"{run(lambda opened: opened.set_admin(email, admin=True))} is an administrator")

    @user.command("demote")
    @click.argument("email")
    def demote(email: str) -> None:
        """Make an administrator an ordinary user."""
        click.echo(f"{run(lambda opened: opened.set_admin(email, admin=False))} is an ordinary user")

    user.add_command(import_command(settings))

    return user


def seed_command(settings: Callable[[], Settings]) -> click.Command:
    """Build `seed`; ``settings`` finds the stores of the instance that is meant."""

    @click.command("seed", short_help="Fill the database with made-up users.")
    @click.option(
        "--users", type=click.IntRange(1, MOST_USERS), default=1000, show_default=True, help="How many there are to be."
    )
    @click.option(
        "--sessions",
        type=click.IntRange(0, MOST_SESSIONS),
        show_default="one a user",
        help="How many they have together.",
    )
    @click.option(
        "--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed makes the same users."
    )
    @click.option("--clear", is_flag=True, help="Delete all seeded users first, whatever their seed.")
    def seed(users: int, sessions: int | None, seed: int, clear: bool) -> None:  # noqa: FBT001 - click's way
        """Fill the database with made-up users: seed1@seed.invalid and so on.

        Their password is "correct horse battery staple", and their tokens can be worked out from the seed: never do
        this where real people are. Users that are there already stay as they are, with their sessions. Ctrl-C leaves
        whole batches, and the next run goes on behind them.
        """
        wanted = (users, users if sessions is None else sessions)
        made, cleared, seconds = asyncio.run(_seed(settings(), *wanted, seed, clear=clear))
        if clear:
            click.echo(f"{counted(cleared, 'seeded user')} deleted")
        if made.skipped:
            stay = (
                "was there already and stays as it is"
                if made.skipped == 1
                else "were there already and stay as they are"
            )
            click.echo(f"{counted(made.skipped, 'user')} {stay}, sessions included")
        rate = f"{made.rows:,} rows in {seconds:.1f} s, {made.rows / seconds:,.0f} rows/s"
        click.echo(f"{counted(made.users, 'user')} and {counted(made.sessions, 'session')} made: {rate}")

    return seed


async def _seed(settings: Settings, users: int, sessions: int, seed: int, *, clear: bool) -> tuple[Seeded, int, float]:
    """Return what was made, how many users were deleted before, and how many seconds the making took."""
    from app.errands import seeder  # noqa: PLC0415 - quick --help

    async with seeder(settings, seed) as opened:
        cleared = await opened.clear() if clear else 0
        began = time.monotonic()
        with progress(users) as moved:
            made = await opened.run(users, sessions, moved)
        return made, cleared, time.monotonic() - began


def _typed() -> str:
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password at; hand it in with --password-stdin")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


def _first_line() -> str:
    return sys.stdin.readline(_LONGEST_LINE).rstrip("\r\n")
