"""What can be said when a local server cannot be run."""

from __future__ import annotations


class EmbeddedError(Exception):
    """A local PostgreSQL or Redis cannot be run; the message says what happened and what to do."""
