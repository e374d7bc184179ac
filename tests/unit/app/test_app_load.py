"""Load runs as the console sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.load import LauncherLoad

if TYPE_CHECKING:
    from pathlib import Path


async def test_what_a_run_left_is_read_and_nothing_else(tmp_path: Path) -> None:
    """A file of a run's folder is handed out; what is no run's name is none, wherever it would lead."""
    folder = tmp_path / "data" / "runs" / "run-1"
    folder.mkdir(parents=True)
    (folder / "report.html").write_bytes(b"<p>")
    (tmp_path / "data" / "result.json").write_bytes(b"{}")
    load = LauncherLoad(None, tmp_path / "data", allowed=False)
    assert await load.report("run-1", "report.html") == b"<p>"
    assert await load.report("run-1", "result.json") is None
    for name in ("..", "run-1/../..", str(folder), "", "run-2", "run-1\n"):
        assert await load.report(name, "result.json") is None, name
