"""The documentation as a page for people: the same document, rendered once into HTML without a script."""

from __future__ import annotations

import functools
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from app.handlers.openapi import JSON
from app.handlers.problems import CONTENT_TYPE

_TEMPLATES = Path(__file__).parent / "templates"
_BASE = "$GATEWATCH"
COMMON_HEADERS = ("Cache-Control", "RateLimit", "RateLimit-Policy")
"""Headers of many answers, which the page explains once."""

_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a body or an answer, a parameter or a header."""

    name: str
    type: str
    is_required: bool
    link: str = ""
    rules: tuple[str, ...] = ()
    says: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One code that an operation may answer with."""

    status: str
    code: str
    says: str
    headers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an operation answers when all is well, or nearly so."""

    status: str
    says: str
    headers: tuple[Field, ...]
    link: str
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One operation as the page shows it."""

    id: str
    method: str
    path: str
    summary: str
    details: str
    is_signed_in: bool
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    curl: str
    answers: tuple[Answer, ...]
    failures: tuple[Failure, ...]


def render(document: dict[str, Any], *, css: str, shared: frozenset[str]) -> str:
    """Render the page. ``css`` is the stylesheet's path; ``shared`` the codes that any request may meet."""
    reader = _Reader(document)
    groups = {
        tag["name"]: [reader.operation(*o) for o in reader.operations() if o[2]["tags"] == [tag["name"]]]
        for tag in document["tags"]
    }
    template = _environment().get_template("docs.html")
    return template.render(
        info=document["info"], groups=groups, types=reader.types(), common=reader.common(), shared=shared, css=css
    )


@functools.cache
def _environment() -> Environment:
    """Compile templates once a process, however many applications it makes."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(marked=marked, sentence=lambda text: text[:1].upper() + text[1:])
    return environment


def marked(text: str) -> Markup:
    """Turn the little Markdown that the document uses into HTML: paragraphs and `code`."""
    paragraphs = [_inline(paragraph) for paragraph in text.strip().split("\n\n")]
    return Markup("").join(Markup("<p>{}</p>").format(paragraph) for paragraph in paragraphs)


def _inline(text: str) -> Markup:
    parts = text.split("`")
    marked_up = [Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts)]
    return Markup("").join(marked_up)


class _Reader:
    """Picks from a document what the page shows."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._schemas: dict[str, Any] = document["components"]["schemas"]

    def operations(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return path, method and description of each operation."""
        paths: dict[str, dict[str, Any]] = self._document["paths"]
        return [(path, method, item[method]) for path, item in paths.items() for method in _METHODS if method in item]

    def operation(self, path: str, method: str, described: dict[str, Any]) -> Described:
        """Describe one operation."""
        media = described.get("requestBody", {}).get("content", {}).get(JSON)
        answers, failures = [], []
        for status, response in described["responses"].items():
            actual = self._resolve(response)
            if status < "400" or JSON in actual.get("content", {}):
                answers.append(self._answer(status, actual))
            failures += self._failures(status, actual)
        return Described(
            id=described["operationId"],
            method=method.upper(),
            path=path,
            summary=described["summary"],
            details=described.get("description", ""),
            is_signed_in=bool(described["security"]),
            parameters=tuple(self._parameter(parameter) for parameter in described.get("parameters", ())),
            body=self._fields(self._resolve(media["schema"])) if media else (),
            curl=_curl(method.upper(), path, media, is_signed_in=bool(described["security"])),
            answers=tuple(answers),
            failures=tuple(failures),
        )

    def types(self) -> dict[str, tuple[str, tuple[Field, ...]]]:
        """Return the types that answers are made of, each with its sentence and fields."""
        bodies = {
            item["requestBody"]["content"][JSON]["schema"]["$ref"].rpartition("/")[2]
            for _, _, item in self.operations()
            if "requestBody" in item
        }
        return {
            name: (schema.get("description", ""), self._fields(schema))
            for name, schema in self._schemas.items()
            if schema.get("type") == "object" and name not in bodies
        }

    def common(self) -> list[Failure]:
        """Return what any request may be answered with."""
        responses: dict[str, Any] = self._document["components"]["responses"]
        found = [
            failure
            for response in responses.values()
            for failure in self._failures(str(_status_of(response)), response)
        ]
        return sorted(found, key=lambda failure: failure.status)

    def _answer(self, status: str, response: dict[str, Any]) -> Answer:
        media = response.get("content", {}).get(JSON, {})
        headers = [
            self._field(
                name, self._resolve(header)["schema"], is_required=True, says=self._resolve(header)["description"]
            )
            for name, header in response["headers"].items()
            if name not in COMMON_HEADERS
        ]
        return Answer(
            status=status,
            says=response["description"].partition(":")[0],
            headers=tuple(headers),
            link=_name(media.get("schema", {})),
            example=_pretty(media["example"]) if media else "",
        )

    def _failures(self, status: str, response: dict[str, Any]) -> list[Failure]:
        media = response.get("content", {}).get(CONTENT_TYPE, {})
        headers = tuple(name for name in response["headers"] if name not in COMMON_HEADERS)
        return [
            Failure(status=status, code=code, says=example["summary"], headers=headers)
            for code, example in media.get("examples", {}).items()
        ]

    def _parameter(self, parameter: dict[str, Any]) -> Field:
        where = "in the path. " if parameter["in"] == "path" else "in the query. "
        says = where + parameter.get("description", "")
        return self._field(parameter["name"], parameter["schema"], is_required=parameter["required"], says=says)

    def _fields(self, schema: dict[str, Any]) -> tuple[Field, ...]:
        required = schema.get("required", ())
        return tuple(
            self._field(name, field, is_required=name in required)
            for name, field in schema.get("properties", {}).items()
        )

    def _field(self, name: str, schema: dict[str, Any], *, is_required: bool, says: str = "") -> Field:
        kinds = schema.get("anyOf", [schema])
        nullable = any(kind.get("type") == "null" for kind in kinds)
        kind = next(kind for kind in kinds if kind.get("type") != "null")
        link = _name(kind) if "properties" in self._resolve(kind) else _name(kind.get("items", {}))
        actual = self._resolve(kind)
        return Field(
            name=name,
            type=_type(actual) + (" or null" if nullable else ""),
            is_required=is_required,
            link=link,
            rules=_rules(actual),
            says=says or ("" if link else actual.get("description", "")),
        )

    def _resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        """Follow a reference within the document."""
        if "$ref" not in node:
            return node
        found: Any = self._document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return dict(found)


def _status_of(response: dict[str, Any]) -> int:
    example = next(iter(response["content"][CONTENT_TYPE]["examples"].values()))
    return int(example["value"]["status"])


def _name(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(f'"{value}"' for value in schema["enum"])
    if "const" in schema:
        return f'"{schema["const"]}"'
    kind = str(schema.get("type", "any"))
    return f"{kind} ({schema['format']})" if "format" in schema else kind


def _rules(schema: dict[str, Any]) -> tuple[str, ...]:
    """Say in words what a schema demands beyond its type."""
    words = {
        "minLength": "at least {} characters",
        "maxLength": "at most {} characters",
        "minimum": "at least {}",
        "maximum": "at most {}",
    }
    if "description" not in schema:
        words["pattern"] = "matches `{}`"
    return tuple(text.format(schema[name]) for name, text in words.items() if name in schema)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _curl(method: str, path: str, media: dict[str, Any] | None, *, is_signed_in: bool) -> str:
    """Write the command that a person can paste after setting GATEWATCH and TOKEN."""
    place = path.replace("{", "$").replace("}", "").upper() if "{" in path else path
    parts = ["curl -i" + (f" -X {method}" if method not in ("GET", "POST") or (method == "POST" and not media) else "")]
    parts[0] += f' "{_BASE}{place}"'
    if is_signed_in:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    if media:
        parts.append(f"-H 'Content-Type: {JSON}'")
        parts.append("-d " + shlex.quote(json.dumps(media["example"], ensure_ascii=False)))
    return " \\\n  ".join(parts)
