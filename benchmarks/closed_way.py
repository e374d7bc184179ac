"""Our worker with a short way closed: run as ``python -m benchmarks.closed_way PORT WAY...``, on the stores of the environment.

Without ``line``, reads go by redis-py's connections; without ``express``, every request goes by Sanic's parser and router.
"""

from __future__ import annotations

import os
import socket
import sys

from app.handlers.express import Express
from app.settings import Settings
from app.storage.line import LineKeeper
from app.worker import run_worker


def main(port: int, closed: list[str]) -> int:
    """Serve until SIGTERM; return the exit code."""
    if "line" in closed:
        LineKeeper.line = lambda self: None  # type: ignore[method-assign] # noqa: ARG005 - it is the experiment
    if "express" in closed:
        Express.read = lambda *_: None  # type: ignore[method-assign] # the same
    listener = socket.create_server(("127.0.0.1", port))
    _ours, theirs = socket.socketpair()
    return run_worker(Settings.from_environment(os.environ), listener, theirs, 1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
