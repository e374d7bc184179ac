"""Other load generators: how each is told to ask for one path over so many connections, at a rate or as fast as it can."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rivals import LOAD_ENVIRONMENT, LOAD_REQUIREMENTS, RivalMissing, installed, version

SCRIPTS = Path(__file__).with_name("rivals")


@dataclass(frozen=True)
class Asked:
    """What a load generator is to do: GET ``url``, at ``rate`` requests/s in all, or as fast as it can when that is 0."""

    url: str
    connections: int
    seconds: float
    rate: float = 0.0


def k6(asked: Asked, *more: str) -> list[str]:
    """k6, as many virtual users as connections; it starts requests at the rate whatever the answers do."""
    installed(LOAD_ENVIRONMENT, LOAD_REQUIREMENTS)
    told = {"URL": asked.url, "VUS": asked.connections, "SECONDS": f"{asked.seconds:g}", "RATE": f"{asked.rate:g}"}
    said = [part for name, value in told.items() for part in ("-e", f"{name}={value}")]
    program = LOAD_ENVIRONMENT.absolute() / "bin" / "k6"
    return [str(program), "run", "--quiet", "--no-usage-report", *said, *more, str(SCRIPTS / "k6.js")]


def locust(asked: Asked) -> list[str]:
    """Locust with FastHttpUser, a user a connection, each at its part of the rate."""
    python = installed(LOAD_ENVIRONMENT, LOAD_REQUIREMENTS)
    each = asked.rate / asked.connections
    return [
        *("env", f"EACH={each:g}", str(python.with_name("locust")), "--headless", "--only-summary"),
        *("-f", str(SCRIPTS / "locustfile.py"), "--host", asked.url.rpartition("/")[0], "-u", str(asked.connections)),
        *("-r", str(asked.connections), "-t", f"{asked.seconds:.0f}s"),
    ]


def wrk(asked: Asked, *more: str) -> list[str]:
    """Return wrk's command: a closed loop, which knows no rate."""
    return [debian("wrk"), "-t1", f"-c{asked.connections}", f"-d{asked.seconds:.0f}", *more, asked.url]


def hey(asked: Asked) -> list[str]:
    """Return hey's command: a closed loop, each worker at its part of the rate at most."""
    pace = ["-q", f"{asked.rate / asked.connections:g}"] if asked.rate else []
    return [debian("hey"), "-cpus", "1", "-z", f"{asked.seconds:g}s", "-c", str(asked.connections), *pace, asked.url]


RIVALS = {"k6": k6, "Locust": locust, "hey": hey, "wrk": wrk}
NAMES = {
    "k6": f"k6 {version('k6', LOAD_REQUIREMENTS)}",
    "Locust": f"Locust {version('locust', LOAD_REQUIREMENTS)} (FastHttpUser)",
    "hey": "hey",
    "wrk": "wrk",
}


def debian(program: str) -> str:
    """Return where a Debian package's program is, installing it first when that can be done; raise RivalMissing if not."""
    found = shutil.which(program)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-qq", "-y", program]):
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)  # noqa: S603 - Debian's
        found = shutil.which(program)
    if found is None:
        raise RivalMissing(f"there is no {program}; install it (Debian: apt-get install {program})")
    return found
