"""What a run shows while it goes on and leaves when it is over: real processes, a real terminal, a real full disk."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import resource
import signal
import struct
import sys
import termios
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from click.testing import CliRunner

from loadgen.report_cli import report_command
from loadgen.target import Target

if TYPE_CHECKING:
    from pathlib import Path

Serving = Callable[[Any], AbstractAsyncContextManager[Target]]

SCENARIO = """
name = "short"
users = 4
rate_per_minute = 6000
seconds = {seconds}
[mix]
check = 1
"""
_PATIENCE = 60


async def _start(
    tmp_path: Path, target: Target, *flags: str, seconds: float = 0.8, **options: Any
) -> asyncio.subprocess.Process:
    (tmp_path / "short.toml").write_text(SCENARIO.format(seconds=seconds))
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadgen", str(tmp_path / "short.toml"), "--target", target.url),
        *("--data-dir", str(tmp_path / "data"), "--run-id", "r1", *flags),
        **{"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE} | options,
    )


async def _finish(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), _PATIENCE)
    return process.returncode, out.decode(), err.decode()


async def test_a_run_leaves_its_reports_and_tells_itself_in_json(
    service: Any, serving: Serving, tmp_path: Path
) -> None:
    """The page is in the folder and where it was asked for; stdout is nothing but JSON; the run can be told again."""
    page, junit = tmp_path / "mine.html", tmp_path / "mine.xml"
    async with serving(service) as target:
        flags = ("--json-lines", "--html", str(page), "--junit", str(junit))
        _, out, err = await _finish(await _start(tmp_path, target, *flags))
    told = [json.loads(line) for line in out.splitlines()]
    assert (told[0]["state"], told[-1]["state"], told[-1]["completed"]) == ("preparing", "done", 80)
    assert told[-1]["validity"] is not None
    assert "80 of 80 requests" in err
    folder = tmp_path / "data" / "runs" / "r1"
    assert (folder / "report.html").read_bytes() == page.read_bytes()
    cases = ET.fromstring(junit.read_bytes()).iter("testcase")  # noqa: S314 - ours
    assert [case.attrib["name"] for case in cases] == ["check: p95", "error rate", "validity"]

    (folder / "report.html").unlink()
    again = CliRunner().invoke(report_command(), ["r1", "--data-dir", str(tmp_path / "data"), "--junit", str(junit)])
    assert "80 of 80 requests" in again.output
    assert (folder / "report.html").read_bytes() == page.read_bytes()


async def test_a_full_disk_takes_the_page_and_not_the_verdict(service: Any, serving: Serving, tmp_path: Path) -> None:
    """What could be written is there, the rest is named in one line, and the verdict is told all the same."""

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000))

    async with serving(service) as target:
        process = await _start(tmp_path, target, "--junit", "/dev/full", preexec_fn=small)
        code, out, err = await _finish(process)
    assert code == 2
    assert re.search(r"^Run: (PASS|FAIL|NO VERDICT), (VALID|INVALID)", out, re.MULTILINE)
    folder = tmp_path / "data" / "runs" / "r1"
    last = err.splitlines()[-1]
    assert last == (
        f"Error: cannot write {folder / 'report.html'}: File too large; cannot write /dev/full: No space left on device"
    )
    assert {path.name for path in folder.iterdir()} == {"columns.json", "result.json", "status.json"}
    assert json.loads((folder / "status.json").read_bytes())["state"] == "done"


def test_what_is_no_run_is_one_clear_line(tmp_path: Path) -> None:
    """No run yet, a name that is none, and a file that is none."""
    told = {}
    (tmp_path / "other.json").write_text('{"version": 1}')
    (tmp_path / "broken.json").write_text("{")
    for run in ("", "none", str(tmp_path / "other.json"), str(tmp_path / "broken.json")):
        result = CliRunner().invoke(report_command(), [*filter(None, [run]), "--data-dir", str(tmp_path)])
        assert result.exit_code == 2
        (told[run],) = result.output.splitlines()
    assert told[""] == f"Error: {tmp_path / 'runs'} holds no run with a result"
    assert told["none"].startswith("Error: there is no result of 'none'")
    assert told[str(tmp_path / "other.json")].endswith("has version 1; this program reads version 2")
    assert "is not the result of a run" in told[str(tmp_path / "broken.json")]


class Terminal:
    """A terminal of a hundred columns that a process can be given, and what it shows."""

    def __init__(self) -> None:
        self._mine, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self._shown = bytearray()
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._mine, self._read)

    @property
    def text(self) -> str:
        """Everything that was shown, without the codes that draw it."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._shown.decode(errors="replace"))

    def take_over(self) -> None:
        """Make it the terminal of the process that calls this, so that its keys are signals."""
        os.setsid()
        fcntl.ioctl(self.theirs, termios.TIOCSCTTY, 0)

    def type(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._mine, key)

    async def until(self, words: str) -> None:
        """Wait for words to be shown."""
        async with asyncio.timeout(_PATIENCE):
            while words not in self.text:
                self._more.clear()
                await self._more.wait()

    def close(self) -> None:
        """Put it away."""
        asyncio.get_running_loop().remove_reader(self._mine)
        os.close(self._mine)
        os.close(self.theirs)

    def _read(self) -> None:
        self._shown.extend(os.read(self._mine, 65_536))
        self._more.set()


async def test_ctrl_c_at_a_terminal_ends_the_run_with_its_report(
    service: Any, serving: Serving, tmp_path: Path
) -> None:
    """The key reaches every process that sends, and none of them minds: all that was under way is reported."""
    terminal = Terminal()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.theirs)
    async with serving(service) as target:
        process = await _start(tmp_path, target, seconds=600, preexec_fn=terminal.take_over, **streams)
        await terminal.until("Ctrl-C: end with the report")
        terminal.type(b"\x03")
        await terminal.until("Written to")
        code = await asyncio.wait_for(process.wait(), _PATIENCE)
    terminal.close()
    assert code == 130
    assert "short against http://127.0.0.1" in terminal.text
    assert re.search(r"in flight \d+ +waiting \d+", terminal.text)
    assert "Run: INTERRUPTED" in terminal.text
    assert "no errors" in terminal.text


async def test_a_second_interrupt_does_not_wait(serving: Serving, tmp_path: Path) -> None:
    """What has no answer yet is given up at once, counted as abandoned, and the report is written."""
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            asked.set()
            await asyncio.Event().wait()
        writer.close()

    scenario = SCENARIO.format(seconds=600).replace("[mix]\ncheck = 1", '[request.root]\npath = "/"\n[mix]\nroot = 1')
    async with serving(silent) as target:
        (tmp_path / "own.toml").write_text(scenario + "\n")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "loadgen", str(tmp_path / "own.toml"), "--target", target.url),
            *("--data-dir", str(tmp_path / "data"), "--run-id", "r1"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(_PATIENCE):
            await asked.wait()
            process.send_signal(signal.SIGINT)
            await asyncio.sleep(0.5)
            assert process.returncode is None, "it waits for what is under way"
            process.send_signal(signal.SIGINT)
            code, out, _ = await _finish(process)
    assert code == 130
    assert "abandoned" in out
    assert (tmp_path / "data" / "runs" / "r1" / "report.html").exists()
