"""Where a server's programs and data lie, so that the account it runs under reaches them.

Nothing that we did not make has its permissions changed. When the wanted folder lies where that account cannot go (a
clone under a closed home, a folder made by mkdtemp), a folder of our own under ``HOMES`` is used, and the wanted path
becomes a symbolic link to it. That happens only when we are root.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.embedded.account import Account, owner_of, serving_account
from app.embedded.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Sequence

HOMES = Path("/var/lib/gatewatch")
PROGRAMS = HOMES / "programs"
ORIGIN = "origin"


@dataclass(frozen=True, slots=True)
class Home:
    """A folder to keep a server's files in, and the account to run the server under (None: our own)."""

    path: Path
    account: Account | None


def settle(folder: Path) -> Home:
    """Return where the files of `folder` are kept, making it when it is new."""
    folder = folder.absolute()
    if folder.is_symlink() and not folder.exists():
        raise EmbeddedError(
            f"{folder} points to {folder.readlink()}, which is not there; put it back, or remove {folder} to start anew"
        )
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        return _make(folder)
    data = folder / "data"
    account = owner_of(data if data.exists() else folder) or serving_account()
    home = Home(folder.resolve(), account)
    if account is None or account.can("-x", home.path):
        return home
    return _move(folder, account)


def discard(folder: Path) -> None:
    """Erase everything kept for `folder`, wherever it was placed. No server may be running from it."""
    folder = folder.absolute()
    if folder.is_symlink():
        home = folder.resolve().parent
        folder.unlink()
        if home.parent == HOMES and (home / ORIGIN).is_file():
            shutil.rmtree(home)
    elif folder.exists():
        shutil.rmtree(folder)


def program_for(account: Account | None, top: Path, parts: Sequence[str], program: str) -> Path:
    """Return a path of `program` that `account` can execute.

    `program` and `parts`, what it needs to run, are relative to `top`. When the account cannot execute it there, a
    copy is made that belongs to us and that everybody may read; it is made once for each version of the program.
    """
    original = top / program
    if account is None or account.can("-x", original):
        return original
    seen = original.stat()
    version = hashlib.sha256(f"{seen.st_size} {seen.st_mtime_ns}".encode()).hexdigest()[:12]
    copy = PROGRAMS / f"{original.name}-{version}"
    if not copy.exists():
        _copy_programs(top, parts, copy)
    if not account.can("-x", copy / program):
        raise EmbeddedError(f"the user {account.name} cannot run {copy / program}; is the disk mounted noexec?")
    return copy / program


def _make(folder: Path) -> Home:
    account = serving_account()
    if account is None or account.can("-x", folder.parent):
        folder.mkdir(mode=0o755)
        return Home(folder, account)
    home = _new_home(folder)
    folder.symlink_to(home)
    return Home(home, account)


def _move(folder: Path, account: Account) -> Home:
    """Move what is in `folder` to where `account` reaches it; the original goes only after the copy is whole."""
    source = folder.resolve()
    home = _new_home(folder)
    shutil.copytree(source, home, symlinks=True, dirs_exist_ok=True)
    home.chmod(0o755)  # the copy took over the permissions that made us move
    data = home / "data"
    if data.exists():
        os.lchown(data, account.uid, account.gid)
        for path in data.rglob("*"):
            os.lchown(path, account.uid, account.gid)
    aside = folder.with_name(f"{folder.name}.moved")
    folder.rename(aside)
    folder.symlink_to(home)
    shutil.rmtree(aside)
    return Home(home, account)


def _new_home(folder: Path) -> Path:
    """Make a folder of our own for `folder`. Its name is random: data whose link was moved elsewhere is never met."""
    try:
        HOMES.mkdir(mode=0o755, parents=True, exist_ok=True)
        outer = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=HOMES))
        outer.chmod(0o755)
        (outer / ORIGIN).write_text(f"{folder}\n")
        home = outer / folder.name
        home.mkdir(mode=0o755)
    except OSError as error:
        raise EmbeddedError(
            f"the account of the embedded servers cannot reach {folder}, and {HOMES} cannot be used in its place "
            f"({error}); set GATEWATCH_DATA_DIR to a folder that everybody may enter, or start as an ordinary user"
        ) from None
    return home


def _copy_programs(top: Path, parts: Sequence[str], copy: Path) -> None:
    """Copy whole or not at all: the copy gets its name when it is complete."""
    try:
        copy.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".", dir=copy.parent))
    except OSError as error:
        raise EmbeddedError(f"{top} is out of reach for the embedded servers, and copying failed: {error}") from None
    try:
        for part in parts:
            source, target = top / part, unfinished / part
            if source.is_dir():
                shutil.copytree(source, target)
            elif source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        for path in (unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755)
        unfinished.rename(copy)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not copy.exists():  # else another start was faster, and its copy is as good
            raise EmbeddedError(
                f"{top} is out of reach for the embedded servers, and copying failed: {error}"
            ) from None
