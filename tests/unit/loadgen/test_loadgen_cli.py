"""The command as it is typed: a real process against a service over real sockets."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner
from unit.loadgen.reporting import made

from loadgen.cli import exit_code, load_command
from loadgen.errors import LoadError
from loadgen.flags import Defaults
from loadgen.target import Target

if TYPE_CHECKING:
    from pathlib import Path

Serving = Callable[[Any], AbstractAsyncContextManager[Target]]

SLO = """
[[route]]
name = "check"
method = "GET"
route = "/auth/check"
p95_ms = 5000
"""
SCENARIO = """
name = "short"
users = 4
rate_per_minute = 6000
seconds = 0.8
[mix]
check = 1
"""


async def _start(tmp_path: Path, target: Target, *flags: str) -> asyncio.subprocess.Process:
    (tmp_path / "slo.toml").write_text(SLO)
    (tmp_path / "short.toml").write_text(SCENARIO)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadgen", str(tmp_path / "short.toml"), "--target", target.url),
        *("--slo", str(tmp_path / "slo.toml"), "--data-dir", str(tmp_path / "data"), "--run-id", "r1", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _finish(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, out.decode(), err.decode()


def _status(tmp_path: Path) -> dict[str, Any]:
    status: dict[str, Any] = json.loads((tmp_path / "data" / "runs" / "r1" / "status.json").read_bytes())
    return status


async def test_a_run_that_passes_ends_with_0(service: Any, serving: Serving, tmp_path: Path) -> None:
    """The report goes to stdout, progress to stderr, status and result into the run's folder."""
    async with serving(service) as target:
        code, out, err = await _finish(await _start(tmp_path, target))
    assert code == 0, err
    assert "Run: PASS, VALID" in out
    assert err.startswith("preparing users: 0 of 4")
    assert _status(tmp_path)["verdict"] == "PASS"
    assert _status(tmp_path)["state"] == "done"
    assert (tmp_path / "data" / "runs" / "r1" / "result.json").exists()


async def test_a_run_that_misses_its_target_ends_with_1(service: Any, serving: Serving, tmp_path: Path) -> None:
    """Sessions that all vanish after preparing are failures, which count as slow as the timeout."""
    service.forget_sessions_after = 4
    async with serving(service) as target:
        code, out, _ = await _finish(await _start(tmp_path, target))
    assert code == 1
    assert "Run: FAIL, VALID - 100 % of the requests failed, allowed 1 %; check: p95" in out


@pytest.mark.parametrize(
    ("state", "verdict", "validity", "code"),
    [
        ("done", "PASS", "VALID", 0),
        ("done", "FAIL", "VALID", 1),
        ("done", "TOO FEW", "VALID", 3),
        ("done", "FAIL", "INVALID", 3),
        ("done", None, "INVALID", 3),
        ("interrupted", None, "VALID", 130),
    ],
)
def test_the_exit_code_says_how_it_ended(state: Any, verdict: Any, validity: Any, code: int) -> None:
    """What a run that is not valid found does not count."""
    result = made()
    status = msgspec.structs.replace(result.status, state=state, verdict=verdict, validity=validity)
    assert exit_code(msgspec.structs.replace(result, status=status)) == code


async def test_too_few_samples_end_with_3(service: Any, serving: Serving, tmp_path: Path) -> None:
    """Twenty requests are not judged."""
    async with serving(service) as target:
        code, out, _ = await _finish(await _start(tmp_path, target, "--duration", "0.2"))
    assert code == 3
    assert "TOO FEW" in out


async def test_an_interrupted_run_ends_with_130(service: Any, serving: Serving, tmp_path: Path) -> None:
    """SIGTERM drains, the report is written, and the folder holds it."""
    async with serving(service) as target:
        process = await _start(tmp_path, target, "--duration", "60")
        await asyncio.wait_for(service.busy.wait(), 20)
        process.send_signal(signal.SIGTERM)
        code, out, _ = await _finish(process)
    assert code == 130
    assert "Run: INTERRUPTED" in out
    assert _status(tmp_path)["state"] == "interrupted"
    assert _status(tmp_path)["completed"] >= 20


def _refused(*arguments: str) -> str:
    result = CliRunner().invoke(load_command(), list(arguments))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def test_bad_input_is_one_clear_line_and_2(tmp_path: Path) -> None:
    """Unknown scenarios, targets, runs and flags are told apart before anything is sent or written."""
    broken = tmp_path / "broken.toml"
    broken.write_text("users = [")
    data = tmp_path / "data"
    for arguments, says in [
        (["nope"], "unknown scenario 'nope'; the known ones are baseline, journeys, knee, peak, smoke"),
        ([str(broken)], f"scenario {broken}: "),
        (["smoke", "--target", "ftp://127.0.0.1:1"], "must look like http://host:port"),
        (["smoke", "--slo", str(tmp_path / "none.toml")], "cannot read targets"),
        (["smoke", "--slo", str(broken)], f"{broken}: "),
        (["smoke", "--users", "-1"], "--users must be above 0"),
        (["smoke", "--rate", "0"], "--rate must be above 0"),
        (["smoke", "--rate", "nan"], "--rate must be above 0"),
        (["smoke", "--duration", "0"], "--duration must be above 0"),
        (["smoke", "--users", "20001"], "--users must be 20,000 or less"),
        (["spike", "--rate", "100"], "--rate contradicts the stages of scenario spike"),
        (["smoke", "--connections", "21"], "connections: more than users"),
        (["smoke", "--processes", "21"], "processes: each one needs a user"),
        (["smoke", "--target", "http://127.0.0.1:1", "--ca", str(broken)], "--ca is for https targets"),
        (["smoke", "--target", "https://127.0.0.1:1", "--ca", str(broken)], "cannot read certificates"),
        (["smoke", "--run-id", "../up"], "--run-id '../up'"),
        (["storm", "--rate", "60"], "--rate contradicts scenario storm: it is closed"),
        (["smoke", "--users", "9", "--set", "users=8"], "--set users contradicts the flag that says it, too"),
        (["smoke", "--set", "users"], "--set 'users' must look like FIELD=VALUE"),
        (["smoke", "--set", "name=mine"], "the value is no TOML (a text needs quotes)"),
        (["smoke", "--set", "speed=9"], "scenario smoke: speed: there is no such field"),
        (["smoke", "--set", "stage.1.users=9"], "scenario smoke: stage: must be a list, not a table"),
        (["smoke", "--set", "users.most=9"], "--set 'users.most=9': there is nothing of that name"),
        (["spike", "--set", "stage.9.users=9"], "--set 'stage.9.users=9': there is nothing of that name"),
        (["smoke", "--set", "mix.fly=9"], "mix: unknown step 'fly'"),
        (["smoke", "--set", "seconds=null"], "seconds: missing, and there are no stages that would say it"),
    ]:
        (line,) = _refused(*arguments, "--data-dir", str(data)).splitlines()
        assert line.startswith("Error: ")
        assert says in line
    assert "No such option" in _refused("smoke", "--nope")
    assert "is not a valid" in _refused("smoke", "--users", "many")
    assert not data.exists()


async def test_a_data_folder_that_cannot_be_made_is_2(service: Any, serving: Serving, tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "data").write_text("a file")
    async with serving(service) as target:
        code, _, err = await _finish(await _start(tmp_path, target))
    assert code == 2
    assert "cannot make" in err


async def test_an_unreachable_target_is_2(serving: Serving, service: Any, tmp_path: Path) -> None:
    """One line names the target and how to start one; nothing was sent, so nothing is left behind."""
    async with serving(service) as target:
        pass
    code, out, err = await _finish(await _start(tmp_path, target))
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(f"Error: cannot reach {target.url}: connection refused; ")
    assert "`make run`" in line
    assert not (tmp_path / "data").exists()


async def test_a_result_that_cannot_be_written_is_still_reported(
    service: Any, serving: Serving, tmp_path: Path
) -> None:
    """The folder vanishes during the run: the table comes out, then a line that says what could not be written."""
    async with serving(service) as target:
        process = await _start(tmp_path, target)
        await asyncio.wait_for(service.busy.wait(), 20)
        (tmp_path / "data" / "runs" / "r1").rename(tmp_path / "elsewhere")
        code, out, err = await _finish(process)
    assert code == 2
    assert "Run: PASS, VALID" in out
    assert "Written to" not in out
    assert "Error: cannot write" in err


def test_a_host_hands_in_its_defaults(tmp_path: Path) -> None:
    """They are asked for when a run begins, may be refused, and give way to flags."""

    def refuse() -> Defaults:
        raise LoadError("GATEWATCH_PORT: must be a number")

    result = CliRunner().invoke(load_command(refuse), ["smoke"])
    assert (result.exit_code, result.stderr) == (2, "Error: GATEWATCH_PORT: must be a number\n")
    command = load_command(lambda: Defaults(target="ftp://x", data_dir=tmp_path))
    assert "'ftp://x' must look like" in CliRunner().invoke(command, ["smoke"]).stderr
    assert "must look like" in CliRunner().invoke(command, ["smoke", "--target", "y"]).stderr


@pytest.mark.parametrize(
    "says",
    ["baseline 100 users, 1,000 req/min, 5 min", "smoke", ".toml", "[default: http://127.0.0.1:8000]", "2 could not"],
)
def test_help_says_what_can_be_run_and_how_it_ends(says: str) -> None:
    """Whoever asks for help learns the scenarios, the default target and the exit codes."""
    assert says in " ".join(CliRunner().invoke(load_command(), ["--help"]).stdout.split())
