"""The documentation in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from visiting import Instance, Visit


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_reader_finds_an_operation(instance: Instance, visit: Visit, scheme: Literal["light", "dark"]) -> None:
    """The page follows the reader's colours, fits a narrow window, and breaks no policy of its own."""
    page = visit.page
    await page.emulate_media(color_scheme=scheme)
    await page.goto(f"{instance.url}/docs")
    await page.get_by_role("navigation").get_by_role("link", name="/users/profile").click()
    assert page.url.endswith("#updateProfile")
    assert "invalidation-pending" in await page.inner_text("#updateProfile")
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(245, 246, 248)", "dark": "rgb(13, 16, 20)"}[scheme]
    await page.set_viewport_size({"width": 390, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") == 390
