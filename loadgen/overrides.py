"""``--set FIELD=VALUE``: any field of a scenario said otherwise for one run, in the words of its file."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import msgspec

from loadgen.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.scenario import Scenario


def overridden(scenario: Scenario, texts: Sequence[str]) -> dict[str, object]:
    """Return the top fields that change, in full: of ``think.mean_s=2`` all of ``think``.

    A field is named as in the file, parts of a table after a dot, one of several by its number from 0; a value is TOML's, null
    leaves the field out. Raises PlanError for a text that says nothing; whether the values fit is for the scenario to say.
    """
    document = msgspec.json.decode(msgspec.json.encode(scenario))  # Lists, not tuples, which cannot be changed.
    changed = {}
    for text in texts:
        path, equals, value = text.partition("=")
        names = path.strip().split(".")
        if not equals or not all(names):
            raise PlanError(f"--set {text!r} must look like FIELD=VALUE, as think.mean_s=2")
        _place(document, names, _value(text, value.strip()), text)
        changed[names[0]] = document[names[0]]
    return changed


def _value(text: str, value: str) -> Any:
    if value == "null":
        return None
    try:
        return tomllib.loads(f"value = {value}\n")["value"]
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"--set {text!r}: the value is no TOML (a text needs quotes): {error}") from None


def _place(document: Any, names: Sequence[str], value: Any, text: str) -> None:
    """Put a value where the names lead; a table on the way that is not there is made."""
    *way, last = names
    inner = document
    try:
        for name in way:
            if isinstance(inner, dict) and not inner.get(name):
                inner[name] = {}
            inner = inner[int(name)] if isinstance(inner, list) else inner[name]
        if isinstance(inner, list):
            inner[int(last)] = value
        else:
            inner[last] = value
    except (ValueError, LookupError, TypeError, AttributeError):
        raise PlanError(f"--set {text!r}: there is nothing of that name") from None
