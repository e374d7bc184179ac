"""The documentation as it is served."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sanic import Sanic

from app.handlers.openapi_operations import OPERATIONS
from app.handlers.openapi_routes import CSP, NAME

if TYPE_CHECKING:
    from running import Serve, Service

NO_API = {"console", "metrics", NAME}
"""Blueprints with pages for people, and for Prometheus."""


def served() -> set[tuple[str, str]]:
    """Return method and path of every route of the running application that belongs to the API."""
    *_, app = Sanic._app_registry.values()
    routes = [route for route in app.router.routes if route.extra.ident.split(".")[1] not in NO_API]
    return {
        (method, re.sub(r"<(\w+)(:[^>]*)?>", r"{\1}", "/" + route.path)) for route in routes for method in route.methods
    }


async def test_every_route_is_documented_and_every_operation_is_there(service: Service) -> None:
    """The table of operations is the application's, no more and no less."""
    assert service.port
    assert {(operation.method, operation.path) for operation in OPERATIONS} == served()


async def test_the_document_is_served_for_programs(serve: Serve) -> None:
    """It is JSON, needs no token, and speaks of the service's own settings."""
    async with serve(password_min_length=15) as service:
        answer = await service.client.get("/docs/openapi.json")
        assert answer.headers["content-type"] == "application/json"
        described = answer.json()
    assert described["openapi"].startswith("3.1")
    assert described["components"]["schemas"]["NewPassword"]["minLength"] == 15


async def test_the_page_shows_every_operation_and_code_with_nothing_from_elsewhere(service: Service) -> None:
    """It names all that the document does, runs no script, and loads its one stylesheet from us."""
    answer = await service.client.get("/docs")
    assert answer.headers["content-security-policy"] == CSP
    page = answer.text
    for operation in OPERATIONS:
        assert f'<article id="{operation.name}">' in page
        for error in operation.errors:
            assert f"<code>{error.code}</code>" in page
    assert "<script" not in page
    assert "style=" not in page
    assert re.findall(r'(?:src|href)="(?!#|/docs/|data:,)[^"]*"', page) == []
    stylesheet = re.search(r'rel="stylesheet" href="([^"]+)"', page)
    assert stylesheet
    css = await service.client.get(stylesheet[1])
    assert css.headers["content-type"].startswith("text/css")
    assert "immutable" in css.headers["cache-control"]
    assert "url(" not in css.text
