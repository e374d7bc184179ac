"""The API as an OpenAPI 3.1 document, built from the types that handlers read and write.

The schemas are msgspec's; what a field may hold comes with its type. A document is built once, when a worker starts.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from app import __version__, errors
from app.handlers.limits import HOT, TABLE
from app.handlers.openapi_examples import EXAMPLES
from app.handlers.problems import CONTENT_TYPE, Problem, anytime, meaning
from app.listings import DEFAULT_LIMIT, MOST_ITEMS
from app.security.passwords import LONGEST_BYTES
from app.values import ProfileChange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.handlers.openapi_operations import Operation

JSON = "application/json"
_REF = "#/components/schemas/{name}"

PARAMETERS: dict[str, dict[str, Any]] = {
    "session_id": {
        "description": "The `id` of a session in the list.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "cursor": {
        "description": "The `next_cursor` of the page before.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "limit": {
        "description": "Items on a page.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS, "default": DEFAULT_LIMIT},
    },
}
"""Each parameter that a path or a query may have, by name."""

HEADERS: dict[str, dict[str, Any]] = {
    "Cache-Control": {"description": "Nobody may store an answer.", "schema": {"const": "no-store"}},
    "X-User-Id": {"description": "Whose session it is.", "schema": {"type": "string", "format": "uuid"}},
    "X-Session-Id": {"description": "Which session it is.", "schema": {"type": "string", "format": "uuid"}},
    "WWW-Authenticate": {"description": "The challenge (RFC 6750).", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait before another try.", "schema": {"type": "integer", "minimum": 1}},
    "RateLimit": {
        "description": "How many more are answered, and for how long that holds (draft-ietf-httpapi-ratelimit-headers).",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {"description": "The limit that is nearest.", "schema": {"type": "string"}},
}
_RATE = ("RateLimit", "RateLimit-Policy")
_OPTIONAL = frozenset(_RATE)
"""A service may have its limits switched off."""

_BY_STATUS = {401: ("WWW-Authenticate",), 429: ("Retry-After", *_RATE), 503: ("Retry-After",)}
_AT_LEAST_ONE: dict[Any, int] = {ProfileChange: 1}

_INTRODUCTION = """\
JSON in and out, in UTF-8. Send `Authorization: Bearer TOKEN` with a token from `POST /auth/login`.

Errors are problem details (RFC 9457). `code` is stable and meant for programs; `trace_id` finds the request in the \
tracing system; a 422 names every field that breaks a rule. A 503 says when to come back. After \
`invalidation-pending` the change is stored and caches follow; after `outcome-unknown` it may yet be.

No answer may be stored (`Cache-Control: no-store`). Where requests are limited, `RateLimit` and `RateLimit-Policy` say \
how you stand, and a 429 when to come back."""


def document(operations: Sequence[Operation], *, shortest_password: int) -> dict[str, Any]:
    """Describe the operations of a service whose new passwords have at least so many characters."""
    schemas = _Schemas(operations, shortest_password)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gatewatch",
            "version": __version__,
            "summary": "Accounts, sessions and profiles.",
            "description": _INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": group} for group in dict.fromkeys(operation.group for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {
                code: _failure(status, {code: _example(status, title, code, detail)})
                for status, title, code, detail in anytime()
            },
            "headers": {name: {**header, "required": name not in _OPTIONAL} for name, header in HEADERS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token from `POST /auth/login`."}
            },
        },
    }


class _Schemas:
    """The schemas of every type that the operations name."""

    def __init__(self, operations: Sequence[Operation], shortest_password: int) -> None:
        named = [(o.body, o.answer, o.not_ready) for o in operations]
        kinds = list(dict.fromkeys([kind for some in named for kind in some if kind is not None] + [Problem]))
        schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
        self._of = dict(zip(kinds, schemas, strict=True))
        self.components: dict[str, Any] = {name: _plain(schema) for name, schema in sorted(components.items())}
        # A default is what a client may leave out; we ourselves send every field, but for Problem.
        sent = self.components.keys() - {kind.__name__ for kind in (Problem, *(o.body for o in operations if o.body))}
        for schema in (self.components[name] for name in sent):
            schema["required"] = list(schema.get("properties", ()))
        self.components["NewPassword"] = {
            "type": "string",
            "format": "password",
            "minLength": shortest_password,
            "maxLength": LONGEST_BYTES,
            "description": f"At most {LONGEST_BYTES} bytes in UTF-8, also in its normal form (NFKC). "
            "The most common passwords, the account's own address and the service's name are refused.",
        }

    def content(self, kind: Any, example: Any = None) -> dict[str, Any]:
        """Describe a type as JSON, with an example."""
        schema = dict(self._of[kind])
        if kind in _AT_LEAST_ONE:
            schema["minProperties"] = _AT_LEAST_ONE[kind]
        return {JSON: {"schema": schema, "example": msgspec.to_builtins(example or EXAMPLES[kind])}}


def _plain(schema: Any) -> Any:
    """Say in Markdown what docstrings say in reStructuredText, and drop what a reference already says."""
    if isinstance(schema, list | tuple):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    plain = {name: _plain(value) for name, value in schema.items() if name != "title" or not isinstance(value, str)}
    if isinstance(plain.get("description"), str):
        plain["description"] = plain["description"].replace("``", "`")
    return plain


def _operation(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.group],
        "summary": operation.summary,
        **({"description": operation.details} if operation.details else {}),
        "security": [{"bearer": []}] if operation.signed_in else [],
    }
    if parameters := [*_parameters(operation, "path"), *_parameters(operation, "query")]:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": schemas.content(operation.body)}
    described["responses"] = {str(operation.success): _success(operation, schemas), **_failures(operation, schemas)}
    return described


def _parameters(operation: Operation, place: str) -> list[dict[str, Any]]:
    names = path_parameters(operation.path) if place == "path" else operation.query
    return [{"name": name, "in": place, "required": place == "path", **PARAMETERS[name]} for name in names]


def path_parameters(path: str) -> tuple[str, ...]:
    """Return the names in braces."""
    return tuple(part[1:-1] for part in path.split("/") if part.startswith("{"))


def _success(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": HTTPStatus(operation.success).phrase,
        "headers": _headers("Cache-Control", *operation.headers, *(_RATE if place(operation) in TABLE else ())),
    }
    if operation.answer is not None:
        described["content"] = schemas.content(operation.answer, operation.example)
    return described


def _failures(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    """Describe every error that the operation may answer with, grouped by status."""
    by_status: dict[int, dict[str, dict[str, Any]]] = {}
    for status, title, code, detail in anytime():
        by_status.setdefault(status, {})[code] = _example(status, title, code, detail)
    for kind in failures(operation):
        status, title = meaning(kind)
        by_status.setdefault(status, {})[kind.code] = _example(status, title, kind.code, _sentence(kind))
    described = {str(status): _failure(status, examples) for status, examples in sorted(by_status.items())}
    for status, _, code, _ in anytime():
        if list(by_status[status]) == [code]:
            described[str(status)] = {"$ref": f"#/components/responses/{code}"}
    if operation.not_ready is not None:
        # A worker that is only starting or draining says so and nothing of when: no Retry-After.
        unready = _failure(503, by_status[503])
        content = {**unready["content"], **schemas.content(operation.not_ready)}
        described["503"] = {**unready, "headers": _headers("Cache-Control"), "content": content}
    return described


def failures(operation: Operation) -> tuple[type[errors.GatewatchError], ...]:
    """Return the errors of ours that an operation may answer with."""
    kinds = [*operation.errors]
    if operation.signed_in:
        kinds.append(errors.NotAuthenticated)
    if operation.body is not None:
        kinds += [errors.InvalidRequest, errors.UnsupportedMediaType]
    if operation.body is not None or operation.query:
        kinds.append(errors.InvalidFields)
    if place(operation) in TABLE or place(operation) in HOT:
        kinds.append(errors.RateLimited)
    return tuple(dict.fromkeys(kinds))


def place(operation: Operation) -> tuple[str, str]:
    """Return method and path, which name an operation in other tables."""
    return operation.method, operation.path


def _failure(status: int, examples: dict[str, dict[str, Any]]) -> dict[str, Any]:
    problem = {"$ref": _REF.format(name=Problem.__name__)}
    narrowed = {"properties": {"status": {"const": status}, "code": {"enum": sorted(examples)}}}
    return {
        "description": HTTPStatus(status).phrase + ": " + ", ".join(f"`{code}`" for code in sorted(examples)),
        "headers": _headers("Cache-Control", *_BY_STATUS.get(status, ())),
        "content": {CONTENT_TYPE: {"schema": {"allOf": [problem, narrowed]}, "examples": examples}},
    }


def _example(status: int, title: str, code: str, detail: str) -> dict[str, Any]:
    fields = ({"field": "email", "detail": "is missing"},) if code == errors.InvalidFields.code else ()
    value = msgspec.to_builtins(Problem(title, status, code, detail, "4bf92f3577b34da6a3ce929d0e0e4736"))
    return {"summary": detail, "value": {**value, **({"errors": list(fields)} if fields else {})}}


def _sentence(kind: type[errors.GatewatchError]) -> str:
    """Return the first line of an error's docstring, which says what it means."""
    return (kind.__doc__ or "").strip().partition("\n")[0].replace("``", "`")


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
