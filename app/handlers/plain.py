"""Requests as most clients write them, read in one pass: a GET in one piece, without a body, on a kept connection."""

from __future__ import annotations

import re
from typing import NamedTuple

from app.handlers.strict import HEAD

LONGEST_HEAD = 4096
"""Bytes past which a head is left to Sanic, which knows how long one may be."""

_TELLING = re.compile(
    rb"\r\n(authorization|connection|content-length|expect|host|traceparent|transfer-encoding|upgrade|x-forwarded-for):[ \t]*([^\r]*)",
    re.IGNORECASE,
)
"""The headers that decide how a request is to be read, answered and traced."""


class PlainGet(NamedTuple):
    """What such a request says of who asks."""

    authorization: str
    forwarded: list[str]
    """The values of all X-Forwarded-For headers in order."""
    called: bool
    """Whether it says whose trace it belongs to."""


def target_of(data: bytes) -> bytes:
    """Return what stands in the target's place, if these bytes are a GET."""
    return data[4 : data.find(b" ", 4)]


def plain_get(data: bytes) -> PlainGet | None:
    """Read bytes that are exactly one plain GET; None when they are anything else, or not what RFC 9112 allows."""
    if (
        not data.startswith(b"GET ")
        or not data.startswith(b" HTTP/1.1\r\n", data.find(b" ", 4))
        or not data.endswith(b"\r\n\r\n")
        or len(data) > LONGEST_HEAD
        or not HEAD.fullmatch(data, 0, len(data) - 4)
    ):
        return None
    authorization = host = length = None
    forwarded: list[str] = []
    called = False
    for name, value in _TELLING.findall(data):
        match name.lower():
            case b"authorization" if authorization is None:
                authorization = value.decode(errors="surrogateescape")  # as Sanic does
            case b"host" if host is None:
                host = value
            case b"content-length" if length is None and value == b"0":
                length = value
            case b"x-forwarded-for":
                forwarded.append(value.decode(errors="surrogateescape"))
            case b"traceparent":
                called = True
            case b"connection" if value.lower() == b"keep-alive":
                pass
            case _:  # one too many, or one that asks for more than a plain answer
                return None
    return None if host is None or authorization is None else PlainGet(authorization, forwarded, called)
