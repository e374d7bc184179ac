"""What `gatewatch serve` prints once it serves."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from app import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What runs and where."""

    url: str
    console_token: str
    workers: int
    seconds: float
    folder: str
    database_url: str
    redis_url: str
    database_is_ours: bool
    redis_is_ours: bool
    load_allowed: bool


def banner(running: Running) -> str:
    """Return the text: what runs, the URLs to open, how to send load, how to stop."""
    return f"""
Gatewatch {__version__} is ready after {running.seconds:.1f} s: {running.workers} worker{"s" * (running.workers != 1)}

  Console     {running.url}/console/login?token={running.console_token}
  API         {running.url}/docs
  Health      {running.url}/health/ready
  PostgreSQL  {_place(running.database_url)}{"  (ours)" * running.database_is_ours}
  Redis       {_place(running.redis_url)}{"  (ours; keeps nothing)" * running.redis_is_ours}
  Data        {running.folder}

  Send load   make load, or .venv/bin/gatewatch load smoke{", or Start in the console" * running.load_allowed}
  Stop        Ctrl-C
"""


def _place(url: str) -> str:
    """Where a server is, without the password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}{parts.path}" if parts.port else f"{parts.hostname}{parts.path}"
