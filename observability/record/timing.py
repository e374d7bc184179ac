"""The Server-Timing header: what a response took until it was written, and which parts of that were waits.

It tells whoever asks how long things take here, strangers too, which is why it is off unless asked for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from observability.model import PARTS
from observability.record.current import current

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanic import HTTPResponse, Request

NAME = "Server-Timing"


def server_timing(seconds: float, parts: Sequence[float]) -> str:
    """Return the header's value: milliseconds in all, then of the parts that there were (W3C Server Timing)."""
    told = [f"total;dur={seconds * 1000:.3f}"]
    told += [f"{name};dur={part * 1000:.3f}" for name, part in zip(PARTS, parts, strict=False) if part > 0]
    return ", ".join(told)


async def tell_timing(_: Request, response: HTTPResponse | None) -> None:
    """Add the header to a response; it is a response middleware of Sanic."""
    request = current.get()
    if request is not None and response is not None:
        response.headers[NAME] = server_timing(time.perf_counter() - request.begin, request.parts)
