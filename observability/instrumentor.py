"""The same as an OpenTelemetry instrumentor: ``SanicInstrumentor().instrument()``, or the opentelemetry-instrument command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # it is not annotated
from opentelemetry.instrumentation.utils import unwrap
from sanic import Sanic

from observability.installation import install

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from observability.installation import Installation


class SanicInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # the same
    """Installs telemetry on every application there is and will be; keyword arguments are those of ``install``.

    Unlike ``install`` it adds no route of its own unless ``metrics`` says so.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return what is instrumented."""
        return ("sanic >= 25.12, < 26",)

    @staticmethod
    def instrument_app(app: Sanic[Any, Any], **options: Any) -> Installation:
        """Install telemetry on one application."""
        return install(app, **{"metrics": "off", **options})

    @staticmethod
    def uninstrument_app(app: Sanic[Any, Any]) -> None:
        """Leave one application alone from its next start on."""
        installed: Installation | None = getattr(app.ctx, "observability", None)
        if installed is not None:
            installed.enabled = False

    def _instrument(self, **options: Any) -> None:
        def made(make: Callable[..., None], app: Sanic[Any, Any], args: Any, kwargs: Any) -> None:
            make(*args, **kwargs)
            self.instrument_app(app, **options)

        wrapt.wrap_function_wrapper(Sanic, "__init__", made)
        for app in Sanic._app_registry.values():  # noqa: SLF001 - there is no other list of them
            self.instrument_app(app, **options)

    def _uninstrument(self, **_: Any) -> None:
        unwrap(Sanic, "__init__")
        for app in Sanic._app_registry.values():  # noqa: SLF001 - the same
            self.uninstrument_app(app)
