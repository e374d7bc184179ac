"""Leaving a run's reports: the page in its folder, and copies where they were asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from loadgen.errors import FolderError
from loadgen.files import write_whole
from loadgen.junit import render_junit
from loadgen.report_html import render_html

if TYPE_CHECKING:
    from loadgen.results import Result

REPORT_FILE = "report.html"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which reports are wanted, and where."""

    html: tuple[Path, ...] = ()
    junit: Path | None = None


def leave_reports(result: Result, wanted: Wanted) -> list[FolderError]:
    """Write every report that is wanted; return what prevented some, so that the others and the verdict still come."""
    faults = []
    page = render_html(result).encode() if wanted.html else b""
    files = [(path, page) for path in wanted.html]
    if wanted.junit is not None:
        files.append((wanted.junit, render_junit(result)))
    for path, content in files:
        try:
            write_whole(path, content)
        except FolderError as error:
            faults.append(error)
    return faults
