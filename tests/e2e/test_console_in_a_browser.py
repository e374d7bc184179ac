"""The console in a real browser, on a real instance under real load."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Browser
    from visiting import Instance, Visit

WIDER = """[...document.querySelectorAll("*")]
  .filter((element) => element.scrollWidth > element.clientWidth + 1 && element.clientWidth)
  .filter((element) => !element.matches(".unseen") && getComputedStyle(element).display !== "inline")
  .map((element) => element.className)"""

UNFOLD = """async () => {
  const { patch } = await import(document.querySelector("script[type=module]").src.replace("console.js", "patch.js"));
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

PERSON = {"email": "ann@example.org", "password": "correct horse battery"}


def call(instance: Instance, method: str, path: str, body: object = None, token: str = "") -> dict[str, object]:
    """Send one request to the API."""
    request = Request(instance.url + path, method=method)  # noqa: S310 - our own instance
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urlopen(request, timeout=60) as answer:  # noqa: S310 - our own instance
        return dict(json.loads(answer.read() or b"{}"))


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
    await visit.until("document.body.innerText.includes('42 in the last minute')")
    await visit.until("document.querySelectorAll('.uplot canvas').length >= 4")

    await page.get_by_label("smoke").check()
    await page.get_by_role("button", name="Start").click()
    await visit.until("document.querySelector('progress')?.value > 1", seconds=90)
    await page.get_by_role("button", name="Stop").click()
    await visit.until("document.body.innerText.includes('Last run: smoke')", seconds=90)
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
    for words in ("Requests", "p95", "Cache hit rate", "Evictions", "Pool in use", "Workers", "/auth/login", "200 ms"):
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
    await visit.until("document.querySelectorAll('.uplot canvas').length >= 4")
    wide = await visit.page.evaluate(WIDER)
    assert set(wide) <= ({"scroll"} if width < 1100 else set())


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
