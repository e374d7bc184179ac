"""Load runs as the console sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.load import LauncherLoad
from console.ports import LoadRefused


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


async def test_what_is_no_runs_name_is_not_asked_of_the_launcher() -> None:
    """A line that is too long for the launcher would end its conversation with this worker for good."""

    class Silent:
        async def ask(self, *_: object, **__: object) -> None:
            raise AssertionError("asked")

    load = LauncherLoad(Silent(), Path(), allowed=True)  # type: ignore[arg-type] # nobody is to be asked
    for name in ("", "../x", "\0" * 60_000):
        with pytest.raises(LoadRefused, match="not running"):
            await load.stop(name)
