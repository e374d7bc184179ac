"""What is read back from a data folder, whole or torn."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from loadgen.history import SILENT_AFTER, read_runs
from loadgen.results import RunFolder, RunStatus, new_run_id

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_000_000.0


def _write(data_dir: Path, run: str, **changes: Any) -> None:
    fields: dict[str, Any] = {
        "run": run,
        "scenario": "mine",
        "state": "done",
        "started": NOW,
        "updated": NOW,
        "pid": os.getpid(),
        "target": "http://a:1",
        "seconds": 1,
        "users": 1,
    }
    folder = RunFolder(data_dir, run)
    folder.create()
    folder.write_status(RunStatus(**(fields | changes)))


def _gone() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_no_folder_is_no_history(tmp_path: Path) -> None:
    """Before the first run there is nothing, and no error."""
    assert read_runs(tmp_path / "none") == ()


def test_the_newest_come_first(tmp_path: Path) -> None:
    """By when they began, and no more than asked for."""
    for number in range(5):
        _write(tmp_path, f"run-{number}", started=NOW + number)
    assert [status.run for status in read_runs(tmp_path, 3)] == ["run-4", "run-3", "run-2"]


def test_torn_and_foreign_folders_are_ignored(tmp_path: Path) -> None:
    """A folder without a status, with half of one, with another's, and a file are no runs."""
    _write(tmp_path, "good")
    runs = tmp_path / "runs"
    (runs / "empty").mkdir()
    (runs / "torn").mkdir()
    (runs / "torn" / "status.json").write_bytes((runs / "good" / "status.json").read_bytes()[:40])
    (runs / "binary").mkdir()
    (runs / "binary" / "status.json").write_bytes(b'"\xff\xfe')
    (runs / "copied").mkdir()
    (runs / "copied" / "status.json").write_bytes((runs / "good" / "status.json").read_bytes())
    (runs / "file").write_text("not a folder")
    (runs / ".hidden").mkdir()
    assert [status.run for status in read_runs(tmp_path)] == ["good"]


def test_a_run_whose_process_is_gone_has_failed(tmp_path: Path) -> None:
    """It can no longer say so itself; a finished run needs no process."""
    _write(tmp_path, "dead", state="running", pid=_gone())
    _write(tmp_path, "done", state="done", pid=_gone(), started=NOW - 1)
    dead, done = read_runs(tmp_path, now=NOW)
    assert (dead.state, dead.message) == ("failed", "the load generator ended without a result")
    assert done.state == "done"


def test_a_run_that_fell_silent_has_failed(tmp_path: Path) -> None:
    """Its process number may belong to another program by now."""
    _write(tmp_path, "run", state="running")
    assert read_runs(tmp_path, now=NOW + 1)[0].state == "running"
    assert read_runs(tmp_path, now=NOW + SILENT_AFTER + 1)[0].state == "failed"


def test_a_status_of_a_newer_version_is_still_read(tmp_path: Path) -> None:
    """Fields that this version does not know are left aside."""
    _write(tmp_path, "run")
    path = tmp_path / "runs" / "run" / "status.json"
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), "colour": "red"}))
    assert len(read_runs(tmp_path)) == 1


def test_run_ids_tell_time_and_scenario() -> None:
    """The name is sortable, readable and unlike that of another run of the same second."""
    first, second = new_run_id("baseline", 1_795_378_500.0), new_run_id("baseline", 1_795_378_500.0)
    assert first.startswith("20261122T201500-baseline-")
    assert first != second
