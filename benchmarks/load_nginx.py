"""nginx as a target: a server that is fast, that somebody else wrote, and that counts for itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

from benchmarks.instance import SERVER_CORE, free_port, pinned, wait_for_answer
from benchmarks.rivals import RivalMissing

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACES = (os.environ.get("PATH", ""), "/usr/sbin", "build/nginx/usr/sbin")
KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_REQUESTS = 9  # The number of that place in stub_status's words.


class Nginx:
    """A running nginx. ``log`` has a line for each request but those that ask for its counts, if it was asked for."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self.log = log
        self._own = 0
        self._own = self.answered() + 1

    def answered(self) -> int:
        """Return how many requests it has answered since it was made, by its own count, without those that asked for it."""
        with urlopen(f"{self.url}/counts", timeout=5) as counts:  # noqa: S310 - our own server
            requests = int(counts.read().split()[_REQUESTS]) - self._own
        self._own += 1
        return requests


@contextlib.contextmanager
def nginx(folder: Path, *, log: bool = False) -> Iterator[Nginx]:
    """Run nginx on the server's core; every path is answered with a short JSON object, 200."""
    folder.mkdir(parents=True)
    port, written = free_port(), folder / "access.log"
    temporary = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in KINDS)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\n"
        f"events {{ worker_connections 4096; }}\nhttp {{ {temporary}\n"
        f"log_format plain '$status $request_time'; access_log {f'{written} plain' if log else 'off'};\n"
        "keepalive_requests 1000000000; keepalive_timeout 600;\n"
        f"server {{ listen 127.0.0.1:{port} backlog=4096;\n"
        "location = /counts { stub_status; access_log off; }\n"
        'location / { default_type application/json; return 200 \'{"status":"ok"}\'; } } }\n'
    )
    command = [_program(), "-e", "stderr", "-p", str(folder), "-c", str(configuration)]
    with pinned(command, {}, (SERVER_CORE,)) as process:
        wait_for_answer(f"http://127.0.0.1:{port}/counts", process)
        yield Nginx(f"http://127.0.0.1:{port}", written)


def _program() -> str:
    found = shutil.which("nginx", path=os.pathsep.join(PLACES))
    if found is None:
        subprocess.run(["make", "-s", "nginx"], check=False)  # noqa: S607 - the developer's make
        found = shutil.which("nginx", path=os.pathsep.join(PLACES))
    if found is None:
        raise RivalMissing("there is no nginx; install it (Debian: apt-get install nginx-light)")
    return str(Path(found).resolve())
