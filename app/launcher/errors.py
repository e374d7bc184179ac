"""What can keep a launcher from running."""

from __future__ import annotations


class LauncherError(Exception):
    """The instance cannot be started or run on; the message says what happened and what to do, and holds no secret."""
