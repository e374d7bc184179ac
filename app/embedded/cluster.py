"""A new PostgreSQL cluster: initdb, the password, the database; whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from app.embedded.account import Account, identity
from app.embedded.errors import EmbeddedError
from app.embedded.server import telling

if TYPE_CHECKING:
    from app.embedded.place import Home

USER = "gatewatch"
DATABASE = "gatewatch"
PASSWORD_FILE = "password"  # noqa: S105 - the name of the file
MADE_WITHIN = 120.0
NO_SPACE = "No space left on device"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def make_cluster(home: Home, binaries: Path) -> None:
    """Make ``data`` and ``password`` in `home` unless they are there. A half-made one of an earlier try is removed."""
    data, unfinished = home.path / "data", home.path / "data.new"
    if data.exists():
        return
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password = _new_password(home.path / PASSWORD_FILE)
        _give(unfinished, home.account)
        _initialise(home, binaries, unfinished, password)
        unfinished.rename(data)
    except OSError as error:
        raise EmbeddedError(f"the database cannot be made in {home.path}: {error}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def password_of(home: Home) -> str:
    """Return the password of the cluster in `home`."""
    path = home.path / PASSWORD_FILE
    try:
        return path.read_text().strip()
    except OSError as error:
        raise EmbeddedError(f"the password of the database cannot be read from {path}: {error.strerror}") from None


def _new_password(path: Path) -> str:
    password = secrets.token_urlsafe(24)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - private from its first byte
        file.write(password + "\n")
    return password


def _initialise(home: Home, binaries: Path, data: Path, password: str) -> None:
    # initdb takes the password from a file only, and may run under another account than ours: lend it one for the while.
    lent = data.with_name("password.lent")
    lent.unlink(missing_ok=True)
    with open(os.open(lent, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - the same
        file.write(password + "\n")
    _give(lent, home.account)
    try:
        _run(
            home,
            [
                str(binaries / "initdb"),
                f"--pgdata={data}",
                f"--username={USER}",
                f"--pwfile={lent}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
            ],
        )
    finally:
        lent.unlink(missing_ok=True)
    alone = [str(binaries / "postgres"), "--single", "-D", str(data)]
    _run(home, [*alone, "postgres"], f"CREATE DATABASE {DATABASE};\n")
    if (binaries.parent / "share" / "extension" / "pg_stat_statements.control").exists():
        _run(home, [*alone, DATABASE], "CREATE EXTENSION pg_stat_statements;\n")


def _run(home: Home, command: list[str], stdin: str = "") -> None:
    try:
        done = subprocess.run(  # noqa: S603 - PostgreSQL's own programs
            command,
            input=stdin.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,
            check=False,
            timeout=MADE_WITHIN,
            **identity(home.account),
        )
    except subprocess.TimeoutExpired:
        raise EmbeddedError(f"{Path(command[0]).name} was not done within {MADE_WITHIN:g} s in {home.path}") from None
    said = tuple(done.stdout.decode(errors="replace").splitlines())
    # In single-user mode a failed statement is told on the output and does not change the exit code.
    if done.returncode or any("ERROR:" in line for line in said):
        advice = (
            "; make room, or set GATEWATCH_DATA_DIR to another disk" if any(NO_SPACE in line for line in said) else ""
        )
        raise EmbeddedError(f"the database cannot be made in {home.path}: {telling(said)}{advice}")


def _give(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid)
