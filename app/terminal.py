"""What the commands have in common that people see: a count in words, and a bar while something takes long."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def counted(number: int, thing: str) -> str:
    """Return "1 user", "2,000 users"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


@contextlib.contextmanager
def progress(users: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr; it is yielded what moves it on. There is none where nobody watches."""
    with click.progressbar(length=users, label="Users", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        yield bar.update
