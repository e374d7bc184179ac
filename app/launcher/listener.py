"""The one listening socket that all workers share."""

from __future__ import annotations

import errno
import socket
import time
from typing import TYPE_CHECKING

from app.launcher.errors import LauncherError

if TYPE_CHECKING:
    from app.settings import Settings

BACKLOG = 1024
PAUSE = 0.1


def listen(settings: Settings, patience: float = 0) -> socket.socket:
    """Bind and listen; connections made before a worker is ready wait for one.

    `patience` is how many seconds a taken port is tried again: workers of a killed launcher hold it while they drain.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return _bound(settings.host, settings.port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(PAUSE)
                continue
            raise LauncherError(_refusal(settings, error)) from None


def base_url(host: str, port: int) -> str:
    """Return where a client on this machine finds a server that listens on `host`."""
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104 - everywhere includes loopback
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.settimeout(0)
    except BaseException:
        listener.close()
        raise
    return listener


def _refusal(settings: Settings, error: OSError) -> str:
    place = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {settings.port} is taken ({place}); stop what listens there, or choose another port: "
            "GATEWATCH_PORT=8001 gatewatch serve, or make run PORT=8001"
        )
    if error.errno == errno.EACCES:
        return f"this user may not listen on {place}; choose a port from 1024 up with GATEWATCH_PORT or make run PORT="
    return f"cannot listen on {place}: {error.strerror or error}; see GATEWATCH_HOST and GATEWATCH_PORT"
