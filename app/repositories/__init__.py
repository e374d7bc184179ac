"""Reads and writes of one thing each, cache-aside, returning frozen values."""
