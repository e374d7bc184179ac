"""Which requests the connections of a server are busy with, by method and route."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from sanic.exceptions import SanicException

from observability.record.requests import KNOWN_METHODS, OTHER_METHOD
from observability.record.sanic import template

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_DELAYED = 8
"""Routes that are named, those with most requests first."""


def delayed_on(connections: Iterable[Any]) -> tuple[tuple[str, int], ...]:
    """Return ``("GET /route", how many)`` of the requests that these protocols are busy with."""
    counts = Counter(name for each in connections if (name := _name(each)))
    return tuple(counts.most_common(MOST_DELAYED))


def read_request(app: Any, head: bytes) -> tuple[str, str]:
    """Return method and route of a request by the bytes of its head; the empty route when it has none."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) < 2:  # noqa: PLR2004 - method and target
        return OTHER_METHOD, ""
    method = words[0] if words[0] in KNOWN_METHODS else OTHER_METHOD
    host = next((line[5:].strip() for line in lines if line[:5].lower() == "host:"), None)
    try:
        route, _, _ = app.router.get(words[1].partition("?")[0], words[0], host)
    except SanicException:
        return method, ""
    return method, template(route.path)


def _name(protocol: Any) -> str:
    found = protocol.on_the_way() if hasattr(protocol, "on_the_way") else None
    if found == (OTHER_METHOD, "") and protocol.recv_buffer:
        found = read_request(protocol.app, bytes(protocol.recv_buffer))  # it came, and was not parsed yet
    return " ".join(filter(None, found or ()))
