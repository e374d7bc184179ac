"""The command `user import`. It imports what it needs when it runs."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.terminal import counted, progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.services.importing import Entry, Fault, Imported
    from app.settings import Settings

SHOWN = 20
"""Lines that are told of one kind, before it is only said how many more there are."""


def import_command(settings: Callable[[], Settings]) -> click.Command:
    """Build `import`; ``settings`` finds the stores of the instance that is meant."""

    @click.command("import", short_help="Take over users of another system with their password hashes.")
    @click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    @click.option("--skip-invalid", is_flag=True, help="Leave out lines that cannot be used, and import the others.")
    @click.option("--dry-run", is_flag=True, help="Check the file and change nothing.")
    def take_over(file: Path, skip_invalid: bool, dry_run: bool) -> None:  # noqa: FBT001 - click's way
        """Take over users of another system from JSON lines, or from CSV whose first line names the fields.

        The fields are email, password_hash (argon2id, argon2i or bcrypt), name and email_verified (true or false); the
        first two are needed. The whole file is checked before anything is changed. A user whose address has an account
        stays as it is, so an import that was interrupted can be repeated. Nobody is mailed.
        """
        usable, faults = _check(file)
        _tell([f"line {fault.line}: {fault.said}" for fault in faults])
        if faults and not skip_invalid:
            lines = counted(len(faults), "line")
            click.echo(f"gatewatch: {lines} cannot be used; nothing was changed (see --skip-invalid)", err=True)
            sys.exit(1)
        if dry_run:
            click.echo(f"{counted(usable, 'user')} can be imported")
            return
        imported = asyncio.run(_run(settings(), file, usable))
        _tell([f"line {line}: {email} has an account already and stays as it is" for line, email in imported.present])
        left = f", {counted(len(faults), 'line')} left out" if faults else ""
        there = f"{len(imported.present):,} {'was' if len(imported.present) == 1 else 'were'} there already"
        click.echo(f"{counted(imported.users, 'user')} imported, {there}{left}")

    return take_over


def _check(file: Path) -> tuple[int, list[Fault]]:
    """Return how many users a file has, and what is wrong with it."""
    from app.services.importing import Fault  # noqa: PLC0415 - quick --help

    usable, faults = 0, []
    for found in _read(file):
        if isinstance(found, Fault):
            faults.append(found)
        else:
            usable += 1
    return usable, faults


async def _run(settings: Settings, file: Path, usable: int) -> Imported:
    from app.errands import importer  # noqa: PLC0415 - quick --help
    from app.services.importing import Fault  # noqa: PLC0415 - the same

    async with importer(settings) as opened:
        with progress(usable) as moved:
            entries = (found for found in _read(file) if not isinstance(found, Fault))
            return await opened.run(entries, moved)


def _read(file: Path) -> Iterator[tuple[int, Entry] | Fault]:
    from app.services.importing import read  # noqa: PLC0415 - quick --help

    with file.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
        yield from read(lines)


def _tell(lines: list[str]) -> None:
    for line in lines[:SHOWN]:
        click.echo(line, err=True)
    if len(lines) > SHOWN:
        click.echo(f"and {len(lines) - SHOWN:,} more", err=True)
