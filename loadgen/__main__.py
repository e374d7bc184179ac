"""``python -m loadgen``: the load generator alone, against any service with these endpoints, or a scenario's own."""

import sys
from collections.abc import Callable

import click

from loadgen.cli import load_command
from loadgen.compare_cli import COMPARE, compare_command
from loadgen.knee_cli import KNEE, knee_command
from loadgen.report_cli import REPORT, report_command

PROGRAM = "python -m loadgen"
OTHERS: dict[str, Callable[[], click.Command]] = {COMPARE: compare_command, KNEE: knee_command, REPORT: report_command}
MORE = (
    f"`{PROGRAM} {KNEE}` looks for the highest rate that meets the targets, `{PROGRAM} {REPORT}` tells a run again, "
    f"`{PROGRAM} {COMPARE}` says what changed between two (--help says how)."
)

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in OTHERS:
        OTHERS[name]()(sys.argv[2:], prog_name=f"{PROGRAM} {name}")
    load_command(more=MORE)(prog_name=PROGRAM)
