"""Where the load goes: a plain HTTP/1.1 server named by host and port."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from loadgen.errors import TargetError

_HTTP_PORT = 80


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
