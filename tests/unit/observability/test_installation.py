"""Installing telemetry, as far as no server is needed."""

from __future__ import annotations

import logging
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest
from sanic import Sanic
from sanic.logging.formatter import DebugFormatter

import observability
from observability import SanicInstrumentor, install

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def app() -> Iterator[Sanic[Any, Any]]:
    """Make an application."""
    made: Sanic[Any, Any] = Sanic("to_be_installed", configure_logging=False)
    yield made
    Sanic.unregister_app(made)


def test_installing_twice_is_installing_once(app: Sanic[Any, Any]) -> None:
    """The second call returns what the first made, and adds neither route nor listener."""
    first = install(app, service="shop")
    listeners = [len(of) for of in app.listeners.values()]
    assert install(app) is first is app.ctx.observability
    assert [route.path for route in app.router.routes] == ["metrics"]
    assert [len(of) for of in app.listeners.values()] == listeners


def test_every_application_there_is_and_will_be_is_instrumented(app: Sanic[Any, Any]) -> None:
    """Between instrument and uninstrument; no route is added unasked."""
    instrumentor = SanicInstrumentor()
    instrumentor.instrument()
    later: Sanic[Any, Any] = Sanic("later", configure_logging=False)
    try:
        assert app.ctx.observability.enabled
        assert later.ctx.observability.enabled
        assert app.router.routes == ()
        instrumentor.uninstrument()
        assert not app.ctx.observability.enabled
        last: Sanic[Any, Any] = Sanic("last", configure_logging=False)
        Sanic.unregister_app(last)
        assert not hasattr(last.ctx, "observability")
    finally:
        Sanic.unregister_app(later)


@pytest.mark.parametrize("asgi", [False, True])
async def test_whoever_serves_by_asgi_is_told_that_nothing_is_seen(
    app: Sanic[Any, Any], caplog: pytest.LogCaptureFixture, *, asgi: bool
) -> None:
    """In one line when the server starts; under Sanic's own server there is none."""
    installed, app.asgi = install(app), asgi
    await installed.start()
    await installed.stop()
    assert ["requests are not recorded" in line for line in caplog.messages] == [True] * asgi


async def test_lines_of_a_development_server_stay_one_line_each(
    app: Sanic[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sanic's formatter tells what was given as extra below the line, and not the ids that every record has."""
    monkeypatch.setattr(
        DebugFormatter, "LOG_EXTRA", True
    )  # an application that is no development server ends it for all
    monkeypatch.setattr(DebugFormatter, "ATTY", False)
    installed = install(app)
    await installed.start()
    record = logging.getLogger("shop").makeRecord("shop", 20, "shop.py", 1, "sold", (), None, extra={"price": 3})
    await installed.stop()
    assert DebugFormatter().format(record).splitlines()[1:] == ["price=3"]


def test_the_instrumentor_is_found_by_its_entry_point() -> None:
    """opentelemetry-instrument loads it by group and name."""
    (point,) = (e for e in entry_points(group="opentelemetry_instrumentor") if e.value.startswith("observability"))
    assert point.name == "sanic"
    assert point.load() is SanicInstrumentor


def test_who_needs_the_model_alone_does_not_wait_for_the_rest() -> None:
    """Importing the model imports neither Sanic nor OpenTelemetry; what the package offers is there when asked for."""
    code = "import observability.model, sys; print(*{m.partition('.')[0] for m in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - our own
    found = ran.stdout.split()
    assert {"sanic", "opentelemetry", "prometheus_client"}.isdisjoint(found)
    assert all(getattr(observability, name) for name in observability.__all__)
