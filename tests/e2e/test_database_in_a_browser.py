"""The pages of the cache, the database, the alerts and the workers in a real browser, of requests that were really sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from e2e.test_console_in_a_browser import WIDER, call

if TYPE_CHECKING:
    from playwright.async_api import Browser
    from visiting import Instance, Visit

PERSON = {"email": "database@example.org", "password": "correct horse battery"}
FILLED = "[...document.querySelectorAll('{place} .u-value')].some((value) => /\\d/.test(value.textContent))"


@pytest.fixture(scope="module")
def asked(instance: Instance) -> None:
    """Send enough of everything that a mean can be told: each change of a profile makes the next request load it."""
    call(instance, "POST", "/auth/register", PERSON)
    token = str(call(instance, "POST", "/auth/login", PERSON)["token"])
    for number in range(12):
        call(instance, "PUT", "/users/profile", {"name": f"Name {number}"}, token)
        for path in ("/auth/me", "/auth/me", "/auth/check", "/auth/check", "/auth/check"):
            call(instance, "GET", path, token=token)


@pytest.mark.usefixtures("asked")
async def test_the_cache_says_what_it_is_worth(instance: Instance, visit: Visit) -> None:
    """Each family has its figures and charts, and the worth of its hits stands in words with the sums."""
    await visit.page.goto(instance.login)
    await visit.page.goto(f"{instance.url}/console/cache")
    await visit.until("/lookup (faster|slower) than PostgreSQL alone/.test(document.body.innerText)")
    await visit.until("document.body.innerText.includes('(user_with_profile, mean of')")
    for place in ("[data-family=session][data-shows=rate]", "[data-family=profile][data-shows=lookups]", "#evictions"):
        await visit.until(FILLED.format(place=place))
    text = await visit.page.inner_text("main")
    for words in ("session", "profile", "verified", "volatile-lru", "alert above 100", "(maxmemory)"):
        assert words in text


@pytest.mark.usefixtures("asked")
async def test_a_query_is_explained_and_run(instance: Instance, visit: Visit) -> None:
    """Queries have their figures; a button shows a plan in place, another runs it; Escape leads back to the button."""
    page = visit.page
    await page.goto(instance.login)
    await page.goto(f"{instance.url}/console/database?range=3600")
    await visit.until("document.querySelector('[data-key=user_with_profile] .badge')")
    for place in ("#in-use", "#how-long"):
        await visit.until(FILLED.format(place=place))
    assert "MGET" in await page.inner_text("main")
    explain = page.get_by_role("button", name="Explain user_by_email")
    await explain.focus()
    await page.keyboard.press("Enter")
    await visit.until("document.querySelector('#plan-dialog[open]')?.innerText.includes('would run user_by_email')")
    plan = await page.inner_text("#plan-dialog")
    assert "users" in plan
    assert "WHERE u.email = $1" in plan
    assert PERSON["email"] not in plan
    await page.get_by_role("button", name="Run it, and see what it takes").click()
    await visit.until("document.querySelector('#plan-dialog').innerText.includes('It took')")
    await page.keyboard.press("Escape")
    await visit.until("!document.querySelector('#plan-dialog[open]')")
    await visit.until("document.activeElement?.value === 'user_by_email'")

    await page.get_by_role("button", name="Explain session_open").click()
    await visit.until("document.querySelector('#plan-dialog[open]')?.innerText.includes('It writes')")
    assert await page.get_by_role("button", name="Run it, and see what it takes").count() == 0


@pytest.mark.usefixtures("asked")
async def test_a_query_is_explained_without_scripts(instance: Instance, browser: Browser) -> None:
    """With JavaScript off the same button leads to the same plan."""
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(instance.login)
    await page.goto(f"{instance.url}/console/database?range=3600")
    await page.get_by_role("button", name="Explain user_by_email").click()
    assert "How PostgreSQL would run user_by_email" in await page.inner_text("#plan")
    await context.close()


@pytest.mark.usefixtures("asked")
async def test_alerts_have_their_states(instance: Instance, visit: Visit) -> None:
    """Every rule of the targets file is there with a state; what has too few requests is called so."""
    await visit.page.goto(instance.login)
    await visit.page.goto(f"{instance.url}/console/alerts")
    await visit.until("document.querySelectorAll('.alerts [data-key=rule]').length === 6")
    text = await visit.page.inner_text("main")
    for words in ("latency", "errors", "database-cpu", "evictions", "fast-burn", "slow-burn", "too few", "Too few"):
        assert words in text


@pytest.mark.usefixtures("asked")
async def test_workers_show_what_they_use(instance: Instance, visit: Visit) -> None:
    """Both processes, their versions, what telemetry costs, and the settings that somebody chose are there."""
    await visit.page.goto(instance.login)
    await visit.page.goto(f"{instance.url}/console/workers")
    await visit.until("document.querySelectorAll('[data-part=workers] tbody tr').length >= 2")
    await visit.until("/\\d (µs|ms)/.test(document.querySelector('[data-part=cost]').innerText)")
    for place in ("#lag", "#hashing"):
        await visit.until(FILLED.format(place=place))
    text = await visit.page.inner_text("main")
    for words in ("python", "sanic", "GATEWATCH_PORT", "environment", "defaults"):
        assert words in text
    assert instance.token not in await visit.page.content()


@pytest.mark.parametrize("path", ["cache", "database?range=3600", "alerts", "workers"])
async def test_only_tables_are_wider_than_a_narrow_window(instance: Instance, visit: Visit, path: str) -> None:
    """In a narrow window nothing is wider than the page but tables, legends and stacks, which scroll in their place."""
    await visit.page.set_viewport_size({"width": 420, "height": 900})
    await visit.page.goto(instance.login)
    await visit.page.goto(f"{instance.url}/console/{path}")
    await visit.until("document.querySelector('.live.good')")
    await visit.until("document.documentElement.scrollWidth <= innerWidth")
    assert set(await visit.page.evaluate(WIDER)) <= {"scroll", "stack", "u-legend u-inline u-live"}
