"""The pages of a route, of kept traces and of one trace, in a real browser, of requests that were really sent."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from typing import TYPE_CHECKING, Literal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from axe_playwright_python.async_playwright import Axe

if TYPE_CHECKING:
    from visiting import Instance, Visit

LOGIN = "/console/route?method=POST&route=/auth/login&range=3600"
WAITED = 250_000
"""Microseconds that the caller says its request has waited."""

BLUE = """(() => {
  const canvas = document.querySelector("#heatmap canvas");
  if (!canvas?.width) return false;
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  let blue = 0;
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 20 && data[at + 2] > data[at] + 40) blue += 1;
  return blue > 400;
})()"""
"""Whether the heatmap has cells: pixels of its colour, which neither axes nor target have."""


def log_in(instance: Instance, trace_id: str = "") -> int:
    """Log in as nobody known, with the same work as for somebody; with a trace id, in a trace that the caller wants kept."""
    request = Request(f"{instance.url}/auth/login", method="POST")  # noqa: S310 - our own instance
    request.data = json.dumps(
        {"email": f"nobody-{secrets.token_hex(6)}@example.org", "password": "correct horse battery"}
    ).encode()
    request.add_header("Content-Type", "application/json")
    request.add_header(
        "traceparent", f"00-{trace_id or secrets.token_hex(16)}-{secrets.token_hex(8)}-{'01' if trace_id else '00'}"
    )
    request.add_header("tracestate", f"gatewatch=w:{WAITED}")
    try:
        with urlopen(request, timeout=60) as answer:  # noqa: S310 - our own instance
            return int(answer.status)
    except HTTPError as refused:
        with refused:
            return refused.code


@pytest.fixture(scope="module")
def asked(instance: Instance) -> str:
    """Log in many times, more than a percentile needs; return the id of the last one's trace.

    One in eight is to be kept: of many in one second a worker keeps only some.
    """
    trace_id = secrets.token_hex(16)
    for number in range(64):
        log_in(instance, "" if number % 8 else secrets.token_hex(16))
    log_in(instance, trace_id)
    return trace_id


async def brushed(visit: Visit) -> int:
    """Drag over the whole heatmap; return how many traces are listed for it."""
    page = visit.page
    await visit.until("!document.getElementById('help').hidden")
    box = await page.locator("#heatmap canvas").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 70, box["y"] + 12)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] - 30, box["y"] + box["height"] - 32, steps=6)
    assert "request" in await page.inner_text("#heatmap .mark-note") or "heard" in await page.inner_text("#heatmap")
    await page.mouse.up()
    await page.wait_for_url("**since=*")
    for argument in ("to=", "least=", "most="):
        assert argument in page.url
    assert "under the brush" in await page.inner_text("#kept-title")
    return await page.locator("#kept a.path").count()


async def test_a_slow_request_is_found_by_brushing_the_heatmap(instance: Instance, visit: Visit, asked: str) -> None:
    """The heatmap fills, a drag over it lists the traces under it and stands in the URL; one opens as a waterfall, its id is copied."""
    page = visit.page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto(instance.login)
    await page.goto(instance.url + LOGIN)
    await visit.until(BLUE)
    await visit.until("document.body.innerText.includes('Password hash')")
    await visit.until("document.querySelector('#percentiles .u-value')?.textContent.length > 1")

    deadline = time.monotonic() + 60
    while not await brushed(visit):  # the ten seconds in which they were asked for may not be over yet
        assert time.monotonic() < deadline
        await page.goto(instance.url + LOGIN)
        await visit.until(BLUE)
    await page.locator("#kept a.path").first.click()

    await page.wait_for_url("**/console/trace/*")
    await page.goto(f"{instance.url}/console/trace/{asked}")
    await visit.until("document.querySelector('.fall-rows')")
    text = await page.inner_text("main")
    for words in (
        "POST /auth/login",
        "user_by_email",
        "Waited at the client before it was sent",
        "250 ms",
        "Password hash",
    ):
        assert words in text, words
    await page.locator(".fall-rows .label", has_text="user_by_email").click()
    assert await page.get_by_text("db.query.text").first.is_visible()
    await visit.until("!document.getElementById('copy').hidden")
    await page.locator("#copy").click()
    await visit.until("document.getElementById('copied').textContent === 'Copied'")
    assert await page.evaluate("navigator.clipboard.readText()") == asked


async def test_a_route_is_narrowed_by_keyboard_alone(instance: Instance, visit: Visit, asked: str) -> None:
    """Whoever cannot drag writes the bounds; what was left empty is not in the URL."""
    page = visit.page
    await page.goto(instance.login)
    await page.goto(instance.url + LOGIN)
    await visit.until("!document.getElementById('help').hidden")
    await page.focus(".brush [name=least]")
    await page.keyboard.type("1 ms")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**least=1*")
    assert "since=" not in page.url
    assert "under the brush" in await page.inner_text("#kept-title")
    await visit.until(
        f"document.querySelector('#kept').innerHTML.includes('{asked}') || !document.getElementById('fresh').hidden"
    )


async def test_new_traces_are_counted_and_shown_on_a_click(instance: Instance, visit: Visit, asked: str) -> None:
    """Rows stay where they are until somebody asks for the new ones; a filter stands in the URL."""
    page = visit.page
    await page.goto(instance.login)
    await page.goto(f"{instance.url}/console/traces?route=/auth/login&why=asked")
    await visit.until(f"document.body.innerHTML.includes('{asked}') || !document.getElementById('fresh').hidden")
    await page.reload()
    assert await page.locator(f"[data-key^='{asked}']").count() == 1
    first = await page.locator("#kept tbody tr").first.get_attribute("data-key")
    trace_id = secrets.token_hex(16)
    await asyncio.to_thread(log_in, instance, trace_id)
    await visit.until("/[0-9] new/.test(document.getElementById('fresh').textContent)")
    assert await page.locator("#kept tbody tr").first.get_attribute("data-key") == first
    await page.locator("#fresh").click()
    await visit.until(f"document.querySelector(\"#kept tbody [data-key^='{trace_id}']\")")
    assert await page.locator("select[name=why]").input_value() == "asked"

    await page.select_option("select[name=status]", "5xx")
    await page.get_by_role("button", name="Filter").click()
    await page.wait_for_url("**status=5xx*")
    assert "least=" not in page.url
    assert trace_id not in await page.content()


async def test_a_trace_appears_on_a_page_that_waits_for_it(instance: Instance, visit: Visit) -> None:
    """A link may be quicker than the trace: the page says what may be, and shows the trace when it has come."""
    page = visit.page
    trace_id = secrets.token_hex(16)
    await page.goto(instance.login)
    await page.goto(f"{instance.url}/console/trace/{trace_id}")
    assert "Nothing is kept of this trace" in await page.inner_text("main")
    await asyncio.to_thread(log_in, instance, trace_id)
    await visit.until("document.querySelector('.fall-rows')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious_on_them(
    instance: Instance, visit: Visit, scheme: Literal["light", "dark"], asked: str
) -> None:
    """Not on a route, nor among traces, nor on one, in either theme; nor is anything but tables wider than a narrow window."""
    page = visit.page
    await page.emulate_media(color_scheme=scheme)
    await page.goto(instance.login)
    for path in (LOGIN, "/console/traces", f"/console/trace/{asked}"):
        await page.goto(instance.url + path)
        await visit.until("document.querySelector('.live.good')")
        found = await Axe().run(page)
        serious = [rule for rule in found.response["violations"] if rule["impact"] in {"serious", "critical"}]
        assert serious == [], f"{path}: {[(rule['id'], [node['html'] for node in rule['nodes']]) for rule in serious]}"
        await page.set_viewport_size({"width": 420, "height": 900})
        assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        await page.set_viewport_size({"width": 1440, "height": 1000})


@pytest.mark.usefixtures("asked")
async def test_a_route_is_painted_in_figures_at_once(instance: Instance, visit: Visit) -> None:
    """The answer itself has the route's figures; the picture follows."""
    await visit.page.goto(instance.login)
    await visit.until(
        f"fetch('{LOGIN}').then((answer) => answer.text()).then((text) => text.includes('Password hash'))"
    )
    page = await (await visit.page.request.get(instance.url + LOGIN)).text()
    for words in ("over the last 1 h", "401", "Password hash", "/console/trace/"):
        assert words in page
