"""The page of the cache: what each family's lookups found."""

from __future__ import annotations

from console.pages.page import Page


class CachePage(Page):
    """Lookups by family."""

    name = path = nav = "cache"
    title = "Cache"
    key = "c"
    charts = False
    parts = ("caches",)
