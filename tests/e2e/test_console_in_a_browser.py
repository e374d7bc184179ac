"""The console in a real browser, on a real instance under real load."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Literal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest
from axe_playwright_python.async_playwright import Axe
from visiting import Visit

if TYPE_CHECKING:
    from playwright.async_api import Browser
    from visiting import Instance

WIDER = """[...document.querySelectorAll("*")]
  .filter((element) => element.scrollWidth > element.clientWidth + 1 && element.clientWidth)
  .filter((element) => !element.matches(".unseen, nav") && getComputedStyle(element).display !== "inline")
  .map((element) => element.className)"""

UNFOLD = """async () => {
  const { patch } = await import(document.querySelector("script[src$='console.js']").src.replace("console.js", "patch.js"));
  const place = document.createElement("div");
  const list = (count, open) => `<details data-key="idle" ${open}><summary>${count} idle</summary></details>`;
  patch(place, list(3, ""));
  const details = place.firstChild;
  const folded = !details.open;
  details.open = true;
  patch(place, list(4, ""));
  const unfolded = details.open;
  details.open = false;
  patch(place, list(4, "open"));
  return { folded, unfolded, says: details.textContent, again: !details.open };
}"""

LISTEN = """() => {
  const broken = document.getElementById("broken");
  window.said = [];
  new MutationObserver(() => broken.hidden || window.said.push(broken.textContent))
    .observe(broken, { attributes: true, characterData: true, childList: true, subtree: true });
}"""
"""Remembers what is said of a stream that broke."""

PERSON = {"email": "ann@example.org", "password": "correct horse battery"}


def call(instance: Instance, method: str, path: str, body: object = None, token: str = "") -> dict[str, object]:
    """Send a request to the API, again while a busy machine makes the service refuse it."""
    request = Request(instance.url + path, method=method)  # noqa: S310 - our own instance
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    deadline = time.monotonic() + 60
    while True:
        try:
            with urlopen(request, timeout=60) as answer:  # noqa: S310 - our own instance
                return dict(json.loads(answer.read() or b"{}"))
        except HTTPError as refused:
            refused.close()
            if refused.code not in {429, 503} or time.monotonic() > deadline:
                raise
            time.sleep(0.5)


async def test_a_developer_sees_requests_arrive_and_runs_load(instance: Instance, visit: Visit) -> None:
    """Log in by the printed URL, see real requests counted, start a run, watch it, stop it and read its result."""
    page = visit.page
    await page.goto(instance.login)
    assert page.url == f"{instance.url}/console"
    assert instance.token not in await page.content()

    call(instance, "POST", "/auth/register", PERSON)
    token = str(call(instance, "POST", "/auth/login", PERSON)["token"])
    for _ in range(40):
        call(instance, "GET", "/auth/check", token=token)
    await visit.until("document.body.innerText.includes('/auth/check')")
    await visit.until("Number(/([0-9]+) in the last minute/.exec(document.body.innerText)?.[1]) >= 42")
    await visit.until("document.querySelectorAll('.uplot canvas').length >= 3")

    await page.get_by_role("link", name="Load", exact=True).click()
    await page.get_by_label("smoke").first.check()
    await page.get_by_role("button", name="Start").click()
    await visit.until("document.querySelector('progress')?.value > 1")
    await page.get_by_role("button", name="Stop").click()
    await visit.until("document.body.innerText.includes('Last run: smoke')")
    text = await page.inner_text("body")
    assert "interrupted" in text
    for endpoint in ("register", "login", "me", "check", "profile", "logout"):
        assert endpoint in text


async def test_the_figures_stand_in_the_page_before_any_script_runs(instance: Instance, browser: Browser) -> None:
    """With JavaScript off the page still shows routes, figures, targets and workers."""
    call(instance, "GET", "/health/live")
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(instance.login)
    text = await page.inner_text("body")
    for words in ("Requests", "p95", "Cache hit rate", "Pool in use", "Loop lag", "Workers", "/auth/login", "200 ms"):
        assert words in text
    await context.close()


async def test_what_a_reader_unfolds_stays_unfolded(instance: Instance, visit: Visit) -> None:
    """An event changes what stands in a list that can be folded, and leaves it as the reader has put it."""
    await visit.page.goto(instance.login)
    assert await visit.page.evaluate(UNFOLD) == {"folded": True, "unfolded": True, "says": "4 idle", "again": True}


@pytest.mark.parametrize("width", [420, 760, 1100, 1280, 1440])
async def test_only_tables_are_wider_than_the_window(instance: Instance, visit: Visit, width: int) -> None:
    """At any width nothing is cut off, and what is wider than its place can be scrolled; from 1100 px on nothing is."""
    await visit.page.set_viewport_size({"width": width, "height": 900})
    await visit.page.goto(instance.login)
    await visit.until("document.querySelectorAll('.uplot canvas').length >= 3")
    wide = await visit.page.evaluate(WIDER)
    assert set(wide) <= ({"scroll"} if width < 1100 else set())


async def test_time_is_held_zoomed_and_let_go(instance: Instance, visit: Visit) -> None:
    """Pause holds the page and says so in the URL; a drag zooms every chart; Escape follows the present again."""
    page = visit.page
    await page.goto(instance.login)
    await visit.until("document.querySelectorAll('.uplot canvas').length >= 3")
    await visit.until("document.querySelector('.live.good')")
    await page.keyboard.press("p")
    await page.wait_for_url("**until=*")
    held = await page.inner_text(".tiles")
    call(instance, "GET", "/health/live")
    await page.wait_for_timeout(2500)  # two events that must not come
    assert await page.inner_text(".tiles") == held
    assert "Held at" in await page.inner_text(".time")
    await page.keyboard.press("Escape")
    await page.wait_for_url(lambda url: "until" not in url)

    await visit.until("document.querySelector('#traffic .u-over')")
    box = await page.locator("#traffic .u-over").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 20)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 20, steps=4)
    await page.mouse.up()
    await page.wait_for_url("**until=*")
    assert "range=" in page.url
    await visit.until("document.querySelectorAll('.uplot canvas').length >= 3")
    assert await page.locator(".time #live").is_visible()
    await page.locator(".time #live").click()
    await page.wait_for_url(lambda url: "until" not in url)


async def test_a_page_resumes_when_its_worker_was_replaced(instance: Instance, browser: Browser) -> None:
    """With the worker gone the page says so; with another one it goes on, after the last second that it had."""
    context = await browser.new_context()
    visit = Visit(await context.new_page())  # a stream that is cut is an error on its console, here wanted
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url) if "/events" in request.url else None)
    await visit.page.goto(instance.login)
    await visit.until("[...document.querySelectorAll('.u-value')].some((value) => /\\d/.test(value.textContent))")
    await visit.page.evaluate(LISTEN)  # it may be said for a moment only
    for process in psutil.Process(instance.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # PostgreSQL has some that come and go
            if "_fork_server" in psutil.Process(process.ppid()).cmdline():
                process.kill()
    await visit.until("window.said.some((text) => text.includes('trying again'))")
    await visit.until("document.getElementById('broken').hidden")
    await visit.until("document.querySelector('.live.good')")
    assert len(asked) > 1
    await context.close()


async def test_the_keyboard_is_enough(instance: Instance, visit: Visit) -> None:
    """Pages, ranges and the filter are reached by keys, and the sheet lists them all."""
    page = visit.page
    await page.goto(instance.login)
    await visit.until("!document.getElementById('help').hidden")
    await page.keyboard.press("?")
    sheet = await page.inner_text("#keys")
    for words in ("Overview", "Workers", "Light or dark", "Hold this moment", "The last 15 min", "Filter"):
        assert words in sheet
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await page.keyboard.type("login")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**filter=login*")
    assert "/auth/register" not in await page.inner_text("#routes")
    await visit.until("!document.getElementById('help').hidden")
    await page.keyboard.press("3")
    await page.wait_for_url("**range=900*")
    assert "filter=login" in page.url
    await visit.until("!document.getElementById('help').hidden")
    await page.keyboard.press("g")
    await page.keyboard.press("w")
    await page.wait_for_url("**/console/workers?range=900")
    assert await page.locator("h1").inner_text() == "Workers"


async def test_a_theme_is_chosen_and_kept(instance: Instance, visit: Visit) -> None:
    """The toggle changes the colours at once and is remembered; the next page is painted so from the start."""
    page = visit.page
    await page.emulate_media(color_scheme="light")
    await page.goto(instance.login)
    await visit.until("!document.getElementById('theme').hidden")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert await page.evaluate(ground) == "rgb(245, 246, 248)"
    await page.keyboard.press("t")
    assert await page.evaluate(ground) == "rgb(13, 16, 20)"
    await page.reload()
    assert await page.evaluate(ground) == "rgb(13, 16, 20)"


async def test_routes_are_sorted_by_a_click(instance: Instance, visit: Visit) -> None:
    """The head of a column sorts, and the URL holds it."""
    page = visit.page
    await page.goto(instance.login)
    await page.get_by_role("link", name="p99", exact=True).click()
    await page.wait_for_url("**sort=p99*")
    assert await page.locator("th[aria-sort=descending]").inner_text() == "p99 ↓".removesuffix(" ↓")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious(instance: Instance, visit: Visit, scheme: Literal["light", "dark"]) -> None:
    """No page of the console breaks a rule that axe calls serious or critical, in either theme."""
    page = visit.page
    await page.emulate_media(color_scheme=scheme)
    call(instance, "GET", "/health/live")
    await page.goto(instance.login)
    paths = await page.eval_on_selector_all("nav a", "links => links.map((link) => link.href)")
    for path in paths:
        await page.goto(path)
        await visit.until("document.querySelector('.live.good')")
        found = await Axe().run(page)
        serious = [rule for rule in found.response["violations"] if rule["impact"] in {"serious", "critical"}]
        assert serious == [], f"{path}: {[(rule['id'], [node['html'] for node in rule['nodes']]) for rule in serious]}"


async def test_nobody_comes_in_without_the_token(instance: Instance, browser: Browser) -> None:
    """Without the token there is a login page and nothing else; a wrong token is refused in words."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{instance.url}/console")
    assert page.url.startswith(f"{instance.url}/console/login")
    answer = await page.goto(f"{instance.url}/console/login?token={'x' * 43}")
    assert answer is not None
    assert answer.status in {401, 403}
    assert "/auth/check" not in await page.content()
    events = await page.request.get(f"{instance.url}/console/events")
    assert events.status == 401
    await context.close()
