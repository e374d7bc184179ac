"""``python -m loadgen``: the load generator alone, against any service with these endpoints."""

import sys

from loadgen.cli import load
from loadgen.knee_cli import KNEE, knee_command
from loadgen.report_cli import REPORT, report_command

if __name__ == "__main__":
    if sys.argv[1:2] == [KNEE]:
        knee_command()(sys.argv[2:], prog_name="python -m loadgen knee")
    if sys.argv[1:2] == [REPORT]:
        report_command()(sys.argv[2:], prog_name="python -m loadgen report")
    load(prog_name="python -m loadgen")
