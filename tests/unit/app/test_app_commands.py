"""What the commands say to whoever types them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from app.__main__ import Commands, cli
from app.settings import SettingsError
from app.terminal import counted
from loadgen.cli import load_command
from loadgen.compare_cli import compare_command
from loadgen.knee_cli import knee_command
from loadgen.report_cli import report_command

if TYPE_CHECKING:
    from collections.abc import Iterator


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for each, below in command.commands.items():
            if not below.hidden:
                yield from _commands(below, f"{name} {each}")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        *_commands(cli, "gatewatch"),
        *((made.name or "", made) for made in (load_command(), knee_command(), compare_command(), report_command())),
    ],
)
def test_every_command_and_every_flag_is_explained(name: str, command: click.Command) -> None:
    """A short help that is not cut off, and a sentence for each flag."""
    assert command.help
    listed = " " in name  # in the help of another command, that is
    assert not (listed and command.get_short_help_str(60).endswith("..."))
    assert [p.name for p in command.params if isinstance(p, click.Option) and not p.help] == []


def test_a_password_is_not_asked_for_where_nobody_can_type_it() -> None:
    """Without a terminal the way to hand it in is named."""
    result = CliRunner().invoke(cli, ["user", "create", "ann@example.org"])
    assert (result.exit_code, "--password-stdin" in result.stderr) == (2, True)


@pytest.mark.parametrize(("number", "says"), [(0, "0 users"), (1, "1 user"), (2000, "2,000 users")])
def test_one_is_told_from_many(number: int, says: str) -> None:
    """One line, two lines."""
    assert counted(number, "user") == says


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(13, "Permission denied", "/data"), "gatewatch: /data: Permission denied\n"),
        (OSError(28, "No space left on device"), "gatewatch: No space left on device\n"),
        (SettingsError("GATEWATCH_PORT:\n no number"), "gatewatch: GATEWATCH_PORT: no number\n"),
    ],
)
def test_what_a_person_can_mend_is_one_line(error: Exception, says: str) -> None:
    """Without the number that the operating system's sentence has in its list."""

    @click.group(cls=Commands)
    def group() -> None:
        """Have a command."""

    @group.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(group, ["fail"])
    assert (result.exit_code, result.stderr) == (1, says)
