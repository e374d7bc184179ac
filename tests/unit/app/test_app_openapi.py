"""The document that describes the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from app import errors
from app.handlers.openapi import document, failures
from app.handlers.openapi_operations import OPERATIONS, Operation
from app.handlers.problems import meaning
from app.services import rules
from app.values import LONGEST_NAME

DOCUMENT: dict[str, Any] = json.loads(json.dumps(document(OPERATIONS, shortest_password=8)))


def resolved(response: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference to a response that operations share."""
    if "$ref" not in response:
        return response
    return dict(DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]])


def media_types() -> list[tuple[str, dict[str, Any]]]:
    """Return every body and answer with a name."""
    found = []
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            spoken = {"body": operation.get("requestBody", {}), **operation["responses"]}
            for name, one in spoken.items():
                found += [(f"{method} {path} {name}", media) for media in resolved(one).get("content", {}).values()]
    return found


def validator(schema: dict[str, Any]) -> OAS31Validator:
    """Validate against a schema of the document."""
    return OAS31Validator({**schema, "components": DOCUMENT["components"]})


def test_the_document_is_openapi() -> None:
    """It holds against the OpenAPI 3.1 meta schema, and every reference in it leads somewhere."""
    OpenAPIV31SpecValidator(DOCUMENT).validate()


@pytest.mark.parametrize(("name", "media"), media_types())
def test_every_example_fits_its_schema(name: str, media: dict[str, Any]) -> None:
    """What a reader copies is what the API takes and gives."""
    examples = [media["example"]] if "example" in media else [one["value"] for one in media["examples"].values()]
    assert examples, name
    for example in examples:
        validator(media["schema"]).validate(example)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_error_is_described_with_what_comes_with_it(operation: Operation) -> None:
    """A problem document that names the code, never stored; a challenge with 401, a time to come back with 503."""
    responses = DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"]
    for kind in failures(operation):
        status, _ = meaning(kind)
        response = resolved(responses[str(status)])
        problem = response["content"]["application/problem+json"]
        assert kind.code in problem["examples"]
        assert "Cache-Control" in response["headers"]
        assert ("WWW-Authenticate" in response["headers"]) == (status == 401)
    assert {"400", "408", "413", "417", "500", "503"} <= responses.keys()


def test_whoever_needs_a_token_may_be_told_that_it_is_none() -> None:
    """Security and the 401 are said of the same operations."""
    for operation in OPERATIONS:
        described = DOCUMENT["paths"][operation.path][operation.method.lower()]
        assert described["security"] == ([{"bearer": []}] if operation.signed_in else [])
        assert (errors.NotAuthenticated in failures(operation)) == operation.signed_in
    assert DOCUMENT["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


@pytest.mark.parametrize(
    ("field", "rule", "text"),
    [
        ("name", rules.name, "Ann"),
        ("name", rules.name, " Ann "),
        ("name", rules.name, ""),
        ("name", rules.name, " \u00a0"),
        ("name", rules.name, "Ann\n"),
        ("name", rules.name, "x" * LONGEST_NAME),
        ("name", rules.name, "x" * (LONGEST_NAME + 1)),
        ("bio", rules.bio, ""),
        ("bio", rules.bio, "one\ntwo\t"),
        ("bio", rules.bio, "\x00"),
        ("bio", rules.bio, "x" * 1001),
        ("avatar_url", rules.avatar_url, "https://example.org/a.png?b=c#d"),
        ("avatar_url", rules.avatar_url, "https://example.org:8443"),
        ("avatar_url", rules.avatar_url, "https://"),
        ("avatar_url", rules.avatar_url, "https://ann@example.org/"),
        ("avatar_url", rules.avatar_url, "https://example.org/\n"),
        ("avatar_url", rules.avatar_url, "https://x.org/" + "x" * 2048),
        ("locale", rules.locale, "pt-BR"),
        ("locale", rules.locale, "?"),
        ("locale", rules.locale, "en\n"),
    ],
)
def test_a_rule_and_the_schema_of_its_field_agree(field: str, rule: Any, text: str) -> None:
    """A text that the rule takes fits the schema, and one that it refuses does not."""
    taken = True
    try:
        rule(text)
    except ValueError:
        taken = False
    schema = {"$ref": "#/components/schemas/ProfileChange"}
    # Python's $ matches before a last line break, where JSON Schema's does not.
    fits = validator(schema).is_valid({field: text}) and not (text.endswith("\n") and field != "bio")
    assert fits is taken


def test_the_shortest_password_is_the_setting() -> None:
    """The document is that of the service which serves it."""
    described = document(OPERATIONS, shortest_password=15)
    assert described["components"]["schemas"]["NewPassword"]["minLength"] == 15
