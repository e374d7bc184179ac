"""What is made of a result for others to read: the page in the run's folder, and copies where they were asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from loadgen.junit import render_junit
from loadgen.report_html import render_html

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.results import Result

REPORT_FILE = "report.html"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which reports are wanted, and where."""

    html: tuple[Path, ...] = ()
    junit: Path | None = None


NONE_WANTED = Wanted()


def wanted(folder: Path | None, html: Path | None, junit: Path | None) -> Wanted:
    """Return what is wanted of a run: its page in this folder, if any, and whatever was asked for."""
    own = folder / REPORT_FILE if folder else None
    return Wanted(html=tuple(filter(None, (own, html))), junit=junit)


def rendered(result: Result, reports: Wanted) -> Iterator[tuple[Path, bytes]]:
    """Yield every report that is wanted: where it is to be, and what it is."""
    if reports.html:
        page = render_html(result).encode()
        yield from ((path, page) for path in reports.html)
    if reports.junit is not None:
        yield reports.junit, render_junit(result)
