"""The page of one trace: its parts, and a waterfall of the request, its children and its logs."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from console.pages.page import Ask, Host, Page
from console.parts import TITLES, it_spent, parts_of, slices
from console.waterfall import waterfall
from observability.read.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observability.model import KeptTrace

AGAIN_AFTER = 5.0
"""Seconds after which a trace is looked for once more: its other requests may still come."""

PLACEHOLDER = "{trace_id}"
_ID = re.compile(r"[0-9a-f]{32}")


class TracePage(Page):
    """One trace."""

    name = "trace"
    title = "Trace"
    path = "trace/<id:str>"
    nav = "traces"
    charts = False
    parts = ("trace",)

    def __init__(self, host: Host) -> None:
        """Raise ValueError for a URL template that leads nowhere."""
        super().__init__(host)
        if host.trace_url and not leads_somewhere(host.trace_url):
            raise ValueError(f"the trace URL must be http:// or https://, with {PLACEHOLDER} in it")
        self._answers = Answers(time.monotonic)

    async def look(self, ask: Ask) -> dict[str, Any]:
        """Look for what was kept of it."""
        trace_id = ask.get("id").lower()
        kept: Sequence[KeptTrace] = await self._answers.get(
            trace_id, AGAIN_AFTER, lambda: self.host.feed.trace(trace_id)
        )
        return {
            "trace_id": trace_id,
            "kept": kept,
            "laid": waterfall(kept) if kept else None,
            "bars": [(one, it_spent(one), parts_of(one), slices(parts_of(one), one.seconds)) for one in kept],
            "TITLES": TITLES,
            "elsewhere": self.host.trace_url.replace(PLACEHOLDER, trace_id) if _ID.fullmatch(trace_id) else "",
        }


def leads_somewhere(template: str) -> bool:
    """Tell whether a URL template is one: http or https, a host, and after it a place for the trace's id."""
    try:
        parts = urlsplit(template)
        path = template.partition(parts.netloc)[2]
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and PLACEHOLDER in path
    except ValueError:
        return False
