"""What is wrong with a settings file of ours, as people say it who write TOML and no Python."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect

if TYPE_CHECKING:
    from collections.abc import Sequence

_AT = re.compile(r" - at (`key` in )?`\$\.?([^`]*)`$")
_FIELD = re.compile(r"Object (contains unknown|missing required) field `([^`]*)`")
_EXPECTED = re.compile(r"Expected `([^`]*)`(?:, got `([^`]*)`| (of length )?([<>]=?) (\S+)| (matching regex) (.*))")
_CHOICE = re.compile(r"Invalid enum value (.*)")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}
_BOUNDS = {">=": "{} or more", "<=": "{} or less", ">": "above {}", "<": "below {}"}


def fault(error: msgspec.MsgspecError, kind: type[msgspec.Struct]) -> str:
    """Return what ``error`` says of a value of ``kind``: ``think.mean_s: must be a number, 0 or more``.

    Numbers in a name count from 0, and NAME is any one of those that a table has. Words of our own stay as they are.
    """
    text = str(error)
    found = _AT.search(text)
    path, said = (found[2], text[: found.start()]) if found else ("", text)
    names = [name for name in path.replace("[...]", ".NAME").replace("[", ".").replace("]", "").split(".") if name]
    if field := _FIELD.fullmatch(said):
        names.append(field[2])
        told = "is missing" if field[1] == "missing required" else _unknown(field[2], _type_at(kind, names[:-1]))
    elif choice := _CHOICE.fullmatch(said):
        told = f"{choice[1]} is not one of {_choices(_type_at(kind, names))}"
    elif expected := _EXPECTED.fullmatch(said):
        told = ("a name in it " if found and found[1] else "") + _expected(*expected.groups())
    else:
        told = said
    return f"{'.'.join(names)}: {told}" if names else told


def _unknown(name: str, within: Any) -> str:
    known = [field.encode_name for field in within.fields] if isinstance(within, inspect.StructType) else []
    near = difflib.get_close_matches(name, known, n=1)
    return f"there is no such field; did you mean {near[0]}?" if near else "there is no such field"


def _choices(within: Any) -> str:
    return ", ".join(map(str, within.values)) if isinstance(within, inspect.LiteralType) else "those known"


def _expected(
    kind: str, got: str | None, length: str | None, sign: str | None, bound: str | None, match: str | None, regex: str
) -> str:
    wanted = " or ".join(_WORDS.get(part, part) for part in kind.split(" | ") if part != "null")
    if got:
        return f"must be {wanted}" + ("" if got == "float" and "int" in kind else f", not {_WORDS.get(got, got)}")
    if match:
        return f"must be {wanted} that matches {regex.strip(chr(39))}"
    limit = _BOUNDS[sign or ">="].format(f"{float(bound or 0):,.12g}")
    return f"must be {wanted} of {limit}" if length else f"must be {wanted}, {limit}"


def _type_at(kind: type[msgspec.Struct], names: Sequence[str]) -> Any:
    """Return what stands at a place; None for one that cannot be followed."""
    inner: Any = inspect.type_info(kind)
    for name in names:
        if isinstance(inner, inspect.StructType):
            inner = next((field.type for field in inner.fields if field.encode_name == name), None)
        elif isinstance(inner, inspect.DictType):
            inner = inner.value_type
        else:
            inner = getattr(inner, "item_type", None)
        if isinstance(inner, inspect.UnionType):
            inner = next((each for each in inner.types if not isinstance(each, inspect.NoneType)), None)
        if isinstance(inner, inspect.Metadata):
            inner = inner.type
    return inner
