"""Who may look: a token exchanged for a signed cookie that expires, Host checked, changes protected from forgery.

Stateless, so that any worker of the fleet accepts a visit that another one opened. The cookie's name carries a
fingerprint of the key, because cookies of one host are shared by all its ports and two consoles must not log each
other out. A worker cannot take back what another one signed, so logging out takes the cookie from the browser only;
therefore a copy of a cookie is worth little: it ends an hour after the console last renewed it, and no renewal carries
a visit past twelve hours. Another token ends every visit at once. Defences after the OWASP cheat sheets on session management and on cross-site request forgery.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from sanic import Request

    from console.ports import Access

LIFETIME = 3600
"""Seconds that a visit lasts without being renewed; a page that is loaded or watched renews it."""

LONGEST = 12 * 3600
"""Seconds after its beginning at which a visit ends, however often it was renewed."""

_COOKIE = re.compile(r"2\.(\d{1,12})\.(\d{1,12})\.([A-Za-z0-9_-]{22})\.([0-9a-f]{64})")  # begun, ends, id, signature


def _sign(key: bytes, message: str) -> str:
    return hmac.digest(key, message.encode(), "sha256").hex()


class Gate:
    """Decides on requests by what they carry. ``clock`` returns Unix seconds."""

    def __init__(self, access: Access, *, clock: Callable[[], float] = time.time) -> None:
        """Derive the keys; raise ValueError for a token below 128 bits."""
        if len(access.token) < 22:  # noqa: PLR2004 - 22 base64 characters carry 128 bits
            raise ValueError("the console's token needs at least 22 characters (128 bits)")
        token = access.token.encode()
        self._token = token
        self._hosts = access.hosts
        self._cookie_key = hmac.digest(token, b"console: cookie", "sha256")
        self._form_key = hmac.digest(token, b"console: form", "sha256")
        self._clock = clock
        self.cookie_name = "console_" + _sign(token, "console: cookie name")[:8]

    def opens(self, token: str) -> bool:
        """Tell whether this is the token, in a time that says nothing about it."""
        return hmac.compare_digest(token.encode(errors="replace"), self._token)

    def issue(self) -> str:
        """Make a cookie for a new visit."""
        return self._cookie(int(self._clock()), secrets.token_urlsafe(16))

    def renew(self, cookie: str) -> str:
        """Make a later cookie of the same visit, whose forms stay good."""
        _, begun, _, visit, _ = cookie.split(".")
        return self._cookie(int(begun), visit)

    def _cookie(self, begun: int, visit: str) -> str:
        ends = min(int(self._clock()) + LIFETIME, begun + LONGEST)
        body = f"2.{begun}.{ends}.{visit}"
        return f"{body}.{_sign(self._cookie_key, body)}"

    def expiry(self, cookie: str) -> float | None:
        """Return when a visit ends (Unix seconds), or None for a cookie that is not ours, was changed or has expired."""
        match = _COOKIE.fullmatch(cookie)
        if match is None:
            return None
        body, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature, _sign(self._cookie_key, body)):
            return None
        expires = int(match[2])
        return expires if expires > self._clock() else None

    def visit(self, request: Request) -> str | None:
        """Return the request's valid cookie, or None."""
        cookie = request.cookies.get(self.cookie_name) or ""
        return cookie if self.expiry(cookie) is not None else None

    def form_token(self, cookie: str) -> str:
        """Return what a form of this visit must carry; renewing the cookie does not change it."""
        return _sign(self._form_key, cookie.split(".")[3])

    def form_is_ours(self, cookie: str, form_token: str) -> bool:
        """Tell whether a form was made for this visit."""
        return hmac.compare_digest(self.form_token(cookie).encode(), form_token.encode(errors="replace"))

    def knows_host(self, request: Request) -> bool:
        """Tell whether the request names a host that we answer to, so that a rebound DNS name opens nothing."""
        hosts = request.headers.getall("host", [])
        return len(hosts) == 1 and _without_port(str(hosts[0])) in self._hosts


def same_origin(request: Request) -> bool:
    """Tell whether a change comes from our own pages, as far as the browser says where it comes from."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    host = str(request.headers.get("host", ""))
    try:
        return urlsplit(str(origin)).netloc.lower() == host.lower()
    except ValueError:
        return False


def _without_port(host: str) -> str:
    """Strip the port, and the brackets of an IPv6 address, from a Host header's value."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")
