"""Claims about starts that cannot succeed: each ends with one line that says what is wrong and what to do."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    Serve = Any


def test_taken_port(serve: Serve) -> None:
    """A taken port is named, with both ways to choose another."""
    with socket.create_server(("127.0.0.1", serve.port)):
        line = serve.refused()
    assert str(serve.port) in line
    assert "GATEWATCH_PORT=" in line
    assert "make run PORT=" in line


def test_folder_in_use(running: Serve) -> None:
    """A second launcher on the same data folder is told which process has it, and the first one serves on."""
    line = running.refused(GATEWATCH_PORT="1025")
    assert f"another gatewatch serve (pid {running.launcher.pid}) uses {running.folder}" in line
    assert running.answers()


@pytest.mark.parametrize(
    ("setting", "url"),
    [("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/db"), ("REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")],
)
def test_unreachable_server(serve: Serve, setting: str, url: str) -> None:
    """An unreachable server is named by address and setting, its password is not shown, and nothing is left running."""
    line = serve.refused(**{setting: url})
    assert "127.0.0.1:1 cannot be used: connection refused" in line
    assert setting in line
    assert "hunter2" not in line
    assert not (serve.folder / "lock").exists()


def test_wrong_password(serve: Serve, postgres: Any) -> None:
    """A PostgreSQL that refuses the password is told apart from one that is not there."""
    address = postgres.url.partition("@")[2]
    line = serve.refused(DATABASE_URL=f"postgres://gatewatch:wr0ng@{address}")
    assert "password authentication failed" in line
    assert "wr0ng" not in line


def test_no_replica(serve: Serve, postgres: Any) -> None:
    """A server that is named as a replica and is none is refused, by address and setting."""
    line = serve.refused(DATABASE_URL=postgres.url, DATABASE_REPLICA_URLS=postgres.url)
    assert "DATABASE_REPLICA_URLS: the server at 127.0.0.1:" in line
    assert "is no replica" in line


def test_bad_setting(serve: Serve) -> None:
    """A setting that cannot be used is named with what it may be."""
    assert "GATEWATCH_WORKERS: 'many' must be a whole number" in serve.refused(GATEWATCH_WORKERS="many")


def test_missing_targets(serve: Serve, tmp_path: Path) -> None:
    """A targets file that is not there is named with its setting."""
    assert "GATEWATCH_SLO" in serve.refused(GATEWATCH_SLO=str(tmp_path / "none.toml"))


def test_unusable_folder(serve: Serve, tmp_path: Path) -> None:
    """A data folder that cannot be made is named with its setting."""
    (tmp_path / "file").touch()
    assert "GATEWATCH_DATA_DIR" in serve.refused(GATEWATCH_DATA_DIR=str(tmp_path / "file" / "data"))
