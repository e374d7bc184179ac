"""The data folder: who uses it now, and what a running instance leaves in it for other commands of the same user."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from typing import TYPE_CHECKING

import msgspec

from app.launcher.errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = "lock"
INSTANCE = "instance.json"
LOCK_TRIES = 3
LOCK_PAUSE = 0.05
TOKEN = "console-token"  # noqa: S105 - the name of the file
SECRET = "mail-secret"  # noqa: S105 - the same


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """A running instance, as other commands of its user find it."""

    pid: int
    url: str
    database_url: str
    redis_url: str
    console_token: str


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Make `folder` when it is missing, and keep every other launcher out of it meanwhile.

    The kernel drops the lock with our process, however it ends, so that a lock is never stale.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _acquire(folder)
    except OSError as error:
        raise _unusable(folder, error) from None
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        os.close(lock)


def _acquire(folder: Path) -> int:
    """Return the locked file, or raise LauncherError naming who has it."""
    holder = "unknown"
    for _ in range(LOCK_TRIES):
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # It may be a command that only looks whether an instance runs; that takes a moment.
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or holder
            os.close(lock)
            time.sleep(LOCK_PAUSE)
            continue
        # If it is not at its place any more, its former holder took it away between our opening and our locking it.
        if _is_at(lock, folder / LOCK):
            _sign(lock, folder)
            return lock
        os.close(lock)
    raise LauncherError(f"another gatewatch serve (pid {holder}) uses {folder}; stop it or set GATEWATCH_DATA_DIR")


def _sign(lock: int, folder: Path) -> None:
    """Write into the lock who holds it."""
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        (folder / LOCK).unlink(missing_ok=True)
        os.close(lock)
        raise


def _unusable(folder: Path, error: OSError) -> LauncherError:
    return LauncherError(
        f"the data folder {folder} cannot be used: {error.strerror}; set GATEWATCH_DATA_DIR to a folder with room that "
        "you may write"
    )


def _is_at(opened: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(opened), path.stat())
    except FileNotFoundError:
        return False


def console_token(folder: Path) -> str:
    """Return the token kept in `folder`, making it up at the first start: 256 bits."""
    return _kept(folder / TOKEN)


def mail_secret(folder: Path) -> str:
    """Return the secret that tokens in mails are derived from, kept in the same way."""
    return _kept(folder / SECRET)


def _kept(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        kept = path.read_text().strip()
        if kept:
            return kept
    token = secrets.token_urlsafe(32)
    write_private(path, f"{token}\n".encode())
    return token


def publish(folder: Path, instance: Instance) -> None:
    """Let other commands find this instance."""
    write_private(folder / INSTANCE, msgspec.json.encode(instance))


def withdraw(folder: Path) -> None:
    """Take the record of the instance away."""
    (folder / INSTANCE).unlink(missing_ok=True)


def last_instance(folder: Path) -> Instance | None:
    """Return the instance recorded in `folder`; it may have died without a word, see `running_instance`."""
    try:
        return msgspec.json.decode((folder / INSTANCE).read_bytes(), type=Instance)
    except (OSError, msgspec.DecodeError):
        return None


def running_instance(folder: Path) -> Instance | None:
    """Return the instance that runs on `folder` now, if one does: its launcher still holds the lock."""
    instance = last_instance(folder)
    if instance is None:
        return None
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return instance
    finally:
        os.close(lock)
    return None


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 that is there whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.unlink(missing_ok=True)
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - private from its first byte
            file.write(content)
        unfinished.replace(path)
    except OSError as error:
        raise _unusable(path.parent, error) from None
    finally:
        unfinished.unlink(missing_ok=True)
