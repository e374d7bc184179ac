"""Where the load goes: a plain HTTP/1.1 server named by host and port."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import msgspec

from loadgen.errors import TargetError

_HTTP_PORT = 80
PATIENCE = 5.0
"""Seconds in which the target must take a connection before the run begins."""


class Target(msgspec.Struct, frozen=True):
    """One server. ``host`` carries no brackets even when it is an IPv6 address."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """What the Host header says."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as a person writes it."""
        return f"http://{self.authority}"


def parse_target(text: str) -> Target:
    """Read ``http://host:port``; raise TargetError for anything that would be silently ignored."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise TargetError(f"--target {text!r} must look like http://host:port") from None
    if parts.scheme == "https":
        raise TargetError(f"--target {text}: https is not supported yet; aim at the service's plain http port")
    if parts.scheme != "http" or not host or not host.isascii():
        raise TargetError(f"--target {text!r} must look like http://host:port")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise TargetError(f"--target {text!r} must be http://host:port and nothing more")
    return Target(host=host, port=_HTTP_PORT if port is None else port)


async def reach(target: Target) -> None:
    """Connect once and hang up; raise TargetError when that cannot be done, so that a run with nobody there never begins."""
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(target.host, target.port)
    except TimeoutError:
        why = f"no answer within {PATIENCE:g} s"
    except ConnectionRefusedError:
        why = "connection refused"
    except OSError as error:
        why = error.strerror or str(error)
    else:
        writer.close()
        return
    raise TargetError(
        f"cannot reach {target.url}: {why}; start the service with `make run`, or name another with --target"
    )
