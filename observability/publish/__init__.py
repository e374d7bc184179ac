"""Sending what was recorded: to the fleet's stream, and by OTLP."""
