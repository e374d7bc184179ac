"""Other people's programs, run beside ours: Sanic itself, and others in environments of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ENVIRONMENT = Path("build/rivals")
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
LOAD_ENVIRONMENT = Path("build/load-rivals")
LOAD_REQUIREMENTS = Path(__file__).with_name("load-requirements.txt")
OTEL_ENVIRONMENT = Path("build/otel-rivals")
OTEL_REQUIREMENTS = Path(__file__).with_name("otel-requirements.txt")


class RivalMissing(Exception):
    """A rival could not be installed: there is nothing to compare with."""


def installed(environment: Path = ENVIRONMENT, requirements: Path = REQUIREMENTS) -> Path:
    """Return the rivals' Python, installing what they need first; raise RivalMissing, with the last that pip said, if it fails."""
    python, stamp = environment.absolute() / "bin" / "python", environment / ".installed"
    wanted = f"{sys.executable} {sys.version}\n{requirements.read_text()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"  installing the rivals into {environment}", file=sys.stderr)
    venv = [sys.executable, "-m", "venv", "--clear", str(environment)]
    pip = [
        str(python),
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "install",
        "-r",
        str(requirements),
    ]
    for command in (venv, pip):
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
            raise RivalMissing(f"the rivals could not be installed: {said[-1]}")
    stamp.write_text(wanted)
    return python


def version(package: str, requirements: Path = REQUIREMENTS) -> str:
    """Return the pinned version of a rival's package."""
    pinned = (line.partition("==") for line in requirements.read_text().splitlines())
    return next(number for name, _, number in pinned if name == package)


FASTAPI_USERS = f"fastapi-users {version('fastapi-users')} (FastAPI {version('fastapi')}, uvicorn {version('uvicorn')})"
