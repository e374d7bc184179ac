# noqa: INP001 - a program to run, not a package
"""Photograph the console of a running service: ``python docs/screenshots.py``, or ``make screenshots``.

Writes ``docs/images/<page>-light.png`` and ``-dark.png`` for each page of the console. The service's URL and console token are read from
``instance.json`` in its data folder, which the launcher keeps there while it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit

from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

IMAGES = Path(__file__).parent / "images"
SCHEMES = ("light", "dark")
WIDTH, HEIGHT, HIGHEST = 1440, 900, 1500
"""Size of the window in pixels. It is made as high as the page for its picture, up to the highest, so that none is too large to keep."""

INNER = {"route": "overview", "trace": "route"}
"""Pages that only others lead to, and which: their first link is followed."""

_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)
_TIMEOUT = 20_000
"""Milliseconds within which live figures must stand on the page."""


class ScreenshotError(Exception):
    """There is nothing to photograph; the message is one line that says why and what to do."""


def instance(data_dir: Path, port: int | None) -> tuple[str, str]:
    """Return URL and console token of the service that runs from a data folder."""
    path = data_dir / "instance.json"
    try:
        found = json.loads(path.read_bytes())
        url, token = str(found["url"]).rstrip("/"), str(found["console_token"])
    except FileNotFoundError:
        raise ScreenshotError(f"nothing runs from {data_dir} (no {path}); start it with `make run`") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScreenshotError(f"cannot read {path}: {error!r}") from error
    if port is not None and urlsplit(url).port != port:
        raise ScreenshotError(f"the service that runs from {data_dir} is at {url}, not on port {port}")
    return url, token


def photograph(url: str, token: str, chromium: str) -> list[Path]:
    """Open every page of the console in each colour scheme and write a picture of it."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_QUIET))
        try:
            return [path for scheme in SCHEMES for path in _pages(browser, url, token, scheme)]
        finally:
            browser.close()


def _pages(browser: Browser, url: str, token: str, scheme: str) -> list[Path]:
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": WIDTH, "height": HEIGHT},
        locale="en-GB",
    )
    page = context.new_page()
    page.set_default_timeout(_TIMEOUT)
    page.goto(f"{url}/console/login?token={quote(token)}")
    if urlsplit(page.url).path.rstrip("/") != "/console":
        raise ScreenshotError(f"{url} did not take the token of its instance.json; was it started anew?")
    entries = page.locator("nav a[data-name]").all()
    pages = [(str(entry.get_attribute("data-name")), str(entry.get_attribute("href"))) for entry in entries]
    written = []
    for name, path in pages:
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        page.goto(url + path)
        _wait_for_figures(page)
        height = int(page.evaluate("document.documentElement.scrollHeight"))
        page.set_viewport_size({"width": WIDTH, "height": min(height, HIGHEST)})
        written.append(IMAGES / f"{name}-{scheme}.png")
        page.screenshot(path=written[-1])
        known = dict(pages)
        pages += [
            (inner, found)
            for inner, outer in INNER.items()
            if outer == name and inner not in known and (found := _first(page, f"{inner}[/?]"))
        ]
    context.close()
    return written


def _first(page: Page, path: str) -> str | None:
    """Return where the first link leads that matches, when there is one."""
    paths = [str(link.get_attribute("href")) for link in page.locator("main a[href]").all()]
    return next((found for found in paths if re.search(rf"/{path}", found)), None)


def _wait_for_figures(page: Page) -> None:
    """Wait for a live page, and for its charts to have taken points."""
    page.locator(".live.good").wait_for()
    if page.locator(".uplot").count():
        page.locator(".u-legend tr:not(:first-child) .u-value", has_text=re.compile(r"\d")).first.wait_for()
    page.wait_for_timeout(1500)  # one more event, so that the picture shows the page in motion


def _chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    raise ScreenshotError("no chromium on PATH; install it (Debian: apt-get install chromium)")


def main() -> int:
    """Take the pictures; say where they are, or in one line why there are none."""
    parser = argparse.ArgumentParser(description="Photograph the console of a running service.")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("GATEWATCH_DATA_DIR") or ".data"))
    parser.add_argument("--port", type=int, help="insist on the service that listens there")
    parser.add_argument("--url", help="with --token: photograph this console instead")
    parser.add_argument("--token")
    arguments = parser.parse_args()
    try:
        if arguments.url and arguments.token:
            where = arguments.url.rstrip("/"), arguments.token
        else:
            where = instance(arguments.data_dir, arguments.port)
        for path in photograph(*where, _chromium()):
            sys.stdout.write(f"{path}\n")
    except ScreenshotError as error:
        sys.stderr.write(f"screenshots: {error}\n")
        return 1
    except PlaywrightError as error:
        reason = str(error).strip().splitlines()[0]
        sys.stderr.write(f"screenshots: the console could not be photographed: {reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
