"""Where the load goes: an HTTP/1.1 server named by host and port, with TLS or without."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from loadgen.errors import TargetError

if TYPE_CHECKING:
    from pathlib import Path

_PORTS = {"http": 80, "https": 443}
PATIENCE = 5.0
"""Seconds in which the target must take a connection before the run begins."""


class Target(msgspec.Struct, frozen=True):
    """One server. ``host`` carries no brackets even when it is an IPv6 address."""

    host: str
    port: int
    tls: bool = False

    @property
    def authority(self) -> str:
        """What the Host header says."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as a person writes it."""
        return f"{'https' if self.tls else 'http'}://{self.authority}"


def parse_target(text: str) -> Target:
    """Read ``http://host:port`` or ``https://host:port``; raise TargetError for anything that would be silently ignored."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise TargetError(f"--target {text!r} must look like http://host:port") from None
    if parts.scheme not in _PORTS or not host or not host.isascii():
        raise TargetError(f"--target {text!r} must look like http://host:port or https://host:port")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise TargetError(f"--target {text!r} must be http://host:port and nothing more")
    return Target(host=host, port=_PORTS[parts.scheme] if port is None else port, tls=parts.scheme == "https")


def tls_context(target: Target, authority: Path | None) -> ssl.SSLContext | None:
    """Return what checks the target's certificate, by ``authority`` (PEM) or the system's; None without TLS.

    Raises TargetError when the authority cannot be read, or none is wanted.
    """
    if not target.tls:
        if authority is not None:
            raise TargetError(f"--ca is for https targets, and {target.url} is none")
        return None
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise TargetError(f"cannot read certificates from {authority}: {error.strerror or error}") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


async def reach(target: Target, tls: ssl.SSLContext | None = None) -> None:
    """Connect once and hang up; raise TargetError when that cannot be done, so that a run with nobody there never begins."""
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(target.host, target.port, ssl=tls)
    except TimeoutError:
        why = f"no answer within {PATIENCE:g} s"
    except ConnectionRefusedError:
        why = "connection refused"
    except ssl.SSLError as error:
        why = f"no TLS that can be trusted: {error.reason or error}"
    except OSError as error:
        why = error.strerror or str(error)
    else:
        writer.close()
        return
    raise TargetError(
        f"cannot reach {target.url}: {why}; start the service with `make run`, or name another with --target"
    )
