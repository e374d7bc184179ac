"""Claims about starts by root, who may reach what the servers' own account may not."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

import psutil
import pytest

from app.embedded import discard, place, postgres, start_postgres, start_redis
from app.embedded.account import serving_account

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that only root may enter."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    yield folder
    discard(folder / "postgres")


def _modes(path: Path) -> dict[str, tuple[int, int, int]]:
    seen = {str(each): each.stat() for each in (path, *path.parents)}
    return {name: (stat.S_IMODE(each.st_mode), each.st_uid, each.st_gid) for name, each in seen.items()}


def test_servers_do_not_run_as_root(closed: Path) -> None:
    """Started by root, neither server is root."""
    servers = start_postgres(closed / "postgres"), start_redis()
    users = {psutil.Process(server.pid).uids().effective for server in servers}
    for server in servers:
        server.stop()
    assert 0 not in users


def test_closed_folder_stays_closed(closed: Path) -> None:
    """Data wanted in a folder that the account cannot enter lies elsewhere; no permission above it was changed."""
    before = _modes(closed)
    start_postgres(closed / "postgres").stop()
    assert _modes(closed) == before
    assert (closed / "postgres").is_symlink()
    assert (closed / "postgres").resolve().is_relative_to(place.HOMES)
    home = (closed / "postgres").resolve()
    discard(closed / "postgres")
    assert not home.exists()


def test_folder_that_was_closed_later_is_moved(tmp_path: Path) -> None:
    """A cluster whose folder the account can no longer enter goes on elsewhere with the same data."""
    folder = tmp_path / "postgres"
    folder.mkdir()
    (folder / "password").write_text("kept\n")
    (folder / "data").mkdir(mode=0o700)
    account = serving_account()
    assert account is not None
    os.chown(folder / "data", account.uid, account.gid)
    home = place.settle(folder)
    assert home.account == account
    assert (home.path / "password").read_text() == "kept\n"
    assert (home.path / "data").stat().st_uid == account.uid
    assert folder.is_symlink()
    discard(folder)


def test_closed_programs_are_copied(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that the account cannot reach run from a copy of ours; their own permissions stay as they are."""
    packages = closed / "site-packages"
    for part in postgres.NEEDED:
        shutil.copytree(postgres._packages() / part, packages / part)
    before = _modes(packages / postgres.BINARIES)
    monkeypatch.setattr(postgres, "_packages", lambda: packages)
    monkeypatch.setattr(place, "PROGRAMS", place.HOMES / "programs-of-a-test")
    server = start_postgres(closed / "postgres")
    program = psutil.Process(server.pid).exe()
    server.stop()
    shutil.rmtree(place.PROGRAMS)
    assert program.startswith(f"{place.HOMES}/programs-of-a-test/")
    assert _modes(packages / postgres.BINARIES) == before
