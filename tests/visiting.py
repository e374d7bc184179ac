"""A running instance and a page opened on it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

    from playwright.async_api import Page


@dataclass(frozen=True)
class Instance:
    """A running `gatewatch serve`."""

    url: str
    token: str
    process: subprocess.Popen[bytes]

    @property
    def login(self) -> str:
        """The URL that the launcher prints."""
        return f"{self.url}/console/login?token={self.token}"


@dataclass
class Visit:
    """A page and what went wrong on it."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    async def until(self, expression: str, seconds: float = 180) -> None:
        """Wait until a JavaScript expression is true on the page, and fail naming it when it is not."""
        deadline = time.monotonic() + seconds
        while not await self.page.evaluate(expression):
            assert time.monotonic() < deadline, f"never true: {expression}"
            await asyncio.sleep(0.1)
