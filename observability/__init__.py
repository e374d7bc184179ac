"""Cheap, conventional telemetry for any Sanic application."""
