"""The pages Load and Tune in a real browser, on a real instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Browser
    from visiting import Instance, Visit

WIDER = """[...document.querySelectorAll("main, main *")]
  .filter((element) => element.scrollWidth > element.clientWidth + 1 && element.clientWidth)
  .filter((element) => !element.matches(".unseen, input") && getComputedStyle(element).display !== "inline")
  .map((element) => element.className)"""


async def test_settings_are_changed_and_taken_back_without_a_script(instance: Instance, browser: Browser) -> None:
    """The forms alone change a setting, say beside a field why it cannot be, and undo the change."""
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(instance.login)
    await page.goto(f"{instance.url}/console/tune")
    wait = page.locator("#tune-pool_max_wait")
    assert await wait.input_value() == "5"
    await wait.fill("900")
    await page.get_by_role("button", name="Change", exact=True).click()
    assert "Pool wait must be a number from 0.01 to 60 s." in await page.inner_text("#tune-pool_max_wait-notice")
    assert await wait.input_value() == "900"
    await wait.fill("4")
    await page.get_by_role("button", name="Change", exact=True).click()
    assert await wait.input_value() == "4"
    assert "changed" in await page.inner_text(".setting[data-key=pool_max_wait]")
    await page.get_by_role("button", name="Undo: Pool wait back to 5").click()
    assert await wait.input_value() == "5"
    await context.close()


async def test_a_change_is_ticked_made_marked_and_taken_back_in_place(instance: Instance, visit: Visit) -> None:
    """What is written otherwise is ticked; Enter makes it; the log's button takes it back; the page is never left."""
    page = visit.page
    await page.goto(instance.login)
    await page.goto(f"{instance.url}/console/tune")
    await visit.until("document.querySelector('.live.good')")
    await page.evaluate("window.same = true")
    await page.locator("#tune-cache_profile_ttl").fill("77")
    assert await page.locator("[name=tick-cache_profile_ttl]").is_checked()
    await page.locator("#tune-cache_profile_ttl").press("Enter")
    await visit.until("document.querySelector('.setting[data-key=cache_profile_ttl] .badge.changed')")
    assert await page.input_value("#tune-cache_profile_ttl") == "77"
    assert not await page.locator("[name=tick-cache_profile_ttl]").is_checked()
    await page.get_by_role("button", name="Undo: Profiles: time to live back to 300").click()
    await visit.until("!document.querySelector('.setting[data-key=cache_profile_ttl] .badge.changed')")
    assert await page.input_value("#tune-cache_profile_ttl") == "300"
    assert await page.evaluate("window.same")


async def test_two_runs_are_compared(instance: Instance, visit: Visit) -> None:
    """Two runs of a plan are drawn over each other, with a table of differences or the reason that there is none."""
    page = visit.page
    await page.goto(instance.login)
    await page.goto(f"{instance.url}/console/load")
    runs = "document.querySelectorAll('.runs input[name=after]').length"
    before = await page.evaluate(runs)
    for number in (1, 2):
        await page.locator("input[name=scenario][value=tune]").check()
        for name, value in {"seconds": "12", "rate": "1200", "users": "5", "seed": "7"}.items():
            await page.locator(f"#load-{name}").fill(value)
        await page.get_by_role("button", name="Start").click()
        await visit.until("document.querySelector('.load-run')", 90)
        await visit.until(f"{runs} === {before + number}", 120)
    await visit.until("document.querySelectorAll('#pace canvas, #seen canvas').length === 2")
    legend = "[...document.querySelectorAll('#seen .u-legend .u-value')].filter((value) => /\\d/.test(value.textContent)).length >= 2"
    await visit.until(legend)
    await page.get_by_role("button", name="Compare").click()
    await page.wait_for_url("**before=*")
    said = await page.inner_text("[data-part=comparison]")
    if "INVALID" in said:  # on a machine that is busy with other work
        assert "the generator itself was late" in said
        return
    assert "logout" in said
    assert "p95" in said
    await visit.until("document.querySelector('#overlay canvas')")


async def test_a_wrong_number_is_refused_beside_its_field(instance: Instance, visit: Visit) -> None:
    """The sentence stands under the field, which is marked and focused; the right number takes it away."""
    page = visit.page
    await page.goto(instance.login)
    await page.goto(f"{instance.url}/console/load")
    await visit.until("document.getElementById('load-users').placeholder === '100'")
    await page.locator("#load-users").fill("9999999")
    await page.locator("#load-users").press("Enter")
    await visit.until("!document.getElementById('load-users-notice').hidden")
    visit.complaints.clear()  # the browser tells of the refusal's status
    assert "Users must be a whole number from 1 to 5,000." in await page.inner_text("#load-users-notice")
    assert await page.evaluate("document.activeElement.id") == "load-users"
    assert await page.get_attribute("#load-users", "aria-invalid") == "true"
    await page.locator("input[name=scenario][value=spike]").check()
    assert await page.locator("#load-users").is_disabled()


@pytest.mark.parametrize("path", ["load", "tune"])
@pytest.mark.parametrize("width", [420, 760, 1280])
async def test_nothing_is_wider_than_the_window(instance: Instance, visit: Visit, path: str, width: int) -> None:
    """At any width nothing is cut off but tables, which can be scrolled."""
    await visit.page.set_viewport_size({"width": width, "height": 900})
    await visit.page.goto(instance.login)
    await visit.page.goto(f"{instance.url}/console/{path}")
    await visit.until("document.querySelectorAll('.uplot canvas').length >= 1")
    wide = await visit.page.evaluate(WIDER)
    assert set(wide) <= ({"scroll"} if width < 1100 else set())
