"""The account that a server runs under: PostgreSQL refuses root, and Redis has no need of it."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.embedded.errors import EmbeddedError

if TYPE_CHECKING:
    from pathlib import Path

UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine other than ourselves; we must be root to act for it."""

    name: str
    uid: int
    gid: int

    def can(self, test: str, path: Path) -> bool:
        """Whether this account finds `path` readable ("-r"), writable ("-w") or reachable and executable ("-x")."""
        try:
            done = subprocess.run(  # noqa: S603 - fixed program; the path is an argument and never part of a command
                ["/bin/sh", "-c", 'test "$1" "$2"', "sh", test, str(path)],
                cwd="/",
                check=False,
                **identity(self),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedError(
                f"cannot act as the user {self.name}, which the embedded servers need when started by root ({error}); "
                "start gatewatch as an ordinary user"
            ) from None
        return done.returncode == 0


def identity(account: Account | None) -> dict[str, Any]:
    """Return the arguments that make `subprocess` run a program as `account`; none of our other groups goes along."""
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def serving_account() -> Account | None:
    """Return the unprivileged account for servers when we are root, None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedError("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")


def owner_of(path: Path) -> Account | None:
    """Return the account that owns `path`, None when that is us; raise when it is another and we are not root."""
    owner = path.stat()
    if owner.st_uid == os.geteuid():
        return None
    try:
        name = pwd.getpwuid(owner.st_uid).pw_name
    except KeyError:
        name = f"number {owner.st_uid}"
    if os.geteuid() != 0:
        raise EmbeddedError(
            f"{path} belongs to the user {name}; start as that user or set GATEWATCH_DATA_DIR elsewhere"
        )
    return Account(name, owner.st_uid, owner.st_gid)
