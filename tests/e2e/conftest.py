"""A whole instance as a person starts it, and a real browser before it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import Browser, BrowserContext, async_playwright
from visiting import Instance, Visit

from app.embedded import discard
from app.embedded.port import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


ENDS_WITHIN = 30.0
PATIENCE = 180.0
"""Seconds in which an instance must have started, or ended, however busy the machine is."""


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Run an instance that many tests share; a busy machine is no reason for it to refuse or to take Redis for gone."""
    patient = {"GATEWATCH_HASH_MAX_TIME": "60", "GATEWATCH_REDIS_TIMEOUT": "5"}
    with _started(tmp_path_factory.mktemp("instance") / "data", **patient) as started:
        yield started


@pytest.fixture
def own_instance(tmp_path: Path) -> Iterator[Instance]:
    """Run an instance that one test has for itself, since it breaks things."""
    with _started(tmp_path / "data") as started:
        yield started


@contextlib.contextmanager
def _started(folder: Path, **environment: str) -> Iterator[Instance]:
    """Run an instance with its embedded servers on a free port; it must end cleanly."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWATCH_", "OTEL_"))}
    plain = {name: value for name, value in plain.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    own = {"GATEWATCH_PORT": str(free_port()), "GATEWATCH_DATA_DIR": str(folder)}
    environment = {**plain, **own, **environment}
    process = subprocess.Popen([sys.executable, "-m", "app", "serve"], env=environment, stdout=subprocess.PIPE)
    try:
        written = written_by(process, folder / "instance.json")
        yield Instance(str(written["url"]), str(written["console_token"]), process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(timeout=PATIENCE) == 0
        finally:
            process.kill()
            if process.stdout:
                process.stdout.close()
            discard(folder / "postgres")


def written_by(process: subprocess.Popen[bytes], path: Path) -> dict[str, Any]:
    """Wait until the instance has said where it is."""
    deadline = time.monotonic() + PATIENCE
    assert process.stdout
    for line in process.stdout:
        if b"Ctrl-C" in line or time.monotonic() > deadline:
            break
    return dict(json.loads(path.read_text()))


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Start the chromium that is on PATH."""
    program = shutil.which("chromium")
    assert program, "install chromium (Debian: apt-get install chromium)"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=program, args=list(QUIET), timeout=PATIENCE * 1000)
        make = started.new_context

        async def patient(**options: Any) -> BrowserContext:
            context = await make(**options)
            context.set_default_timeout(PATIENCE * 1000)
            context.close = partial(_closed, context.close)  # type: ignore[method-assign] # for whoever closes it
            return context

        started.new_context = patient  # type: ignore[method-assign] # for whoever makes one
        yield started
        await _closed(started.close)


async def _closed(close: Callable[[], Awaitable[None]]) -> None:
    """Close something of the browser's; one that does not end it holds nobody up, for it is not what is tested."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ENDS_WITHIN):
            await close()


@pytest.fixture
async def visit(instance: Instance, browser: Browser) -> AsyncIterator[Visit]:
    """Open a page on the shared instance."""
    async with _opened(browser, instance) as opened:
        yield opened


@pytest.fixture
async def own_visit(own_instance: Instance, browser: Browser) -> AsyncIterator[Visit]:
    """Open a page on a test's own instance."""
    async with _opened(browser, own_instance) as opened:
        yield opened


@contextlib.asynccontextmanager
async def _opened(browser: Browser, instance: Instance) -> AsyncIterator[Visit]:
    """Open a page that notes every error, policy violation and request to another origin; there must be none."""
    context: BrowserContext = await browser.new_context(viewport={"width": 1440, "height": 1000})
    page = await context.new_page()
    opened = Visit(page)
    page.on(
        "console",
        lambda message: opened.complaints.append(message.text) if message.type in {"error", "warning"} else None,
    )
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on(
        "request", lambda request: None if request.url.startswith(instance.url) else opened.foreign.append(request.url)
    )
    yield opened
    await context.close()
    assert opened.complaints == []
    assert opened.foreign == []
