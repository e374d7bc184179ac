"""Gatewatch: an authentication and profile service that shows what it is doing while it does it."""

__version__ = "0.1.0"
