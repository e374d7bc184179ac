"""Run every benchmark; write build/bench/results.md and results.json."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks import hot_path
from benchmarks.table import markdown

OUT = Path("build/bench")
VERSIONS = ("sanic", "uvloop", "redis", "hiredis", "asyncpg", "tortoise-orm", "msgspec")


def main() -> None:
    """Measure and write."""
    print("Measuring; leave the machine alone for some minutes", file=sys.stderr)
    rows = hot_path.measure()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607 - the developer's git
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in VERSIONS},
    }
    OUT.mkdir(parents=True, exist_ok=True)
    table = markdown(rows)
    said = ", ".join(f"{name} {value}" for name, value in about.items())
    (OUT / "results.md").write_text(f"{table}\n{said}\n")
    (OUT / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode({"about": about, "rows": rows})))
    print(table)
    print(f"{said}\nWritten to {OUT}/results.md and results.json")


if __name__ == "__main__":
    main()
