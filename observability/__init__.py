"""Cheap, conventional telemetry for any Sanic application: ``observability.install(app)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from observability.installation import Installation, install
    from observability.instrumentor import SanicInstrumentor

__all__ = ["Installation", "SanicInstrumentor", "install"]


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: who needs the model alone should not wait for Sanic and OpenTelemetry."""
    if name == "SanicInstrumentor":
        from observability.instrumentor import SanicInstrumentor  # noqa: PLC0415

        return SanicInstrumentor
    if name in __all__:
        from observability import installation  # noqa: PLC0415

        return getattr(installation, name)
    raise AttributeError(name)
