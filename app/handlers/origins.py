"""Where and with what a session is opened."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from app.handlers.clients import client_address
from app.listings import Origin

if TYPE_CHECKING:
    from sanic import Request

LONGEST_CLIENT = 255
_LONGEST_LOOKED_AT = 2048


def origin_of(request: Request) -> Origin:
    """Return a request's address and client, to be shown to the session's owner later."""
    return Origin(client_address(request) or None, client_name(request.headers.get("user-agent", "")))


def client_name(user_agent: str) -> str | None:
    """Return a User-Agent as it may be shown: at most 255 characters, none of them invisible; None when none is left.

    Control characters go, and so do surrogates and the marks that turn the direction of the text around it.
    """
    looked_at = user_agent[:_LONGEST_LOOKED_AT]
    visible = "".join(character for character in looked_at if unicodedata.category(character)[0] != "C")
    return visible.strip()[:LONGEST_CLIENT] or None
