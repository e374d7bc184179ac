"""A free loopback port for a server that clients keep asking for while it is away."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from app.embedded.errors import EmbeddedError

LOWEST = 20_000
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_EPHEMERAL = 32_768
TRIES = 200


def free_port() -> int:
    """Return a free port below the range that outgoing connections draw from.

    Within that range, a client trying a port of loopback whose server is away can be given the very same port as its
    own: it then connects to itself, and the server cannot come back.
    """
    drawn = random.SystemRandom()
    for _ in range(TRIES):
        port = drawn.randrange(LOWEST, _ephemeral_start())
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise EmbeddedError(f"no free port found on 127.0.0.1 from {LOWEST} to {_ephemeral_start()}")


def _ephemeral_start() -> int:
    try:
        start = int(EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return USUAL_EPHEMERAL
    return start if start > LOWEST + TRIES else USUAL_EPHEMERAL
