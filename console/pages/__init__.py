"""The console's pages, in the order of the navigation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.pages.alerts import AlertsPage
from console.pages.cache import CachePage
from console.pages.database import DatabasePage
from console.pages.load import LoadPage
from console.pages.overview import OverviewPage
from console.pages.route import RoutePage
from console.pages.trace import TracePage
from console.pages.traces import TracesPage
from console.pages.tune import TunePage
from console.pages.workers import WorkersPage

if TYPE_CHECKING:
    from console.pages.page import Host, Page

PAGES: tuple[type[Page], ...] = (
    OverviewPage,
    RoutePage,
    CachePage,
    DatabasePage,
    TracesPage,
    TracePage,
    LoadPage,
    TunePage,
    AlertsPage,
    WorkersPage,
)


def pages_for(host: Host) -> dict[str, Page]:
    """Make the pages that the host has the ports for, by name."""
    made = (page.of(host) for page in PAGES)
    return {page.name: page for page in made if page is not None}
