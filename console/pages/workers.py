"""The page of the serving processes."""

from __future__ import annotations

from console.pages.page import Page


class WorkersPage(Page):
    """Each worker and what it uses."""

    name = path = nav = "workers"
    title = "Workers"
    key = "w"
    charts = False
    parts = ("workers",)
