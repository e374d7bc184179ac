"""What is wrong with a file is said in the words of who wrote it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from observability.model.faults import fault


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    """One of several."""

    seconds: Annotated[float, msgspec.Meta(gt=0)]
    figure: Literal["errors", "p95"] = "p95"


class File(msgspec.Struct, forbid_unknown_fields=True):
    """A file with all that ours have."""

    users: Annotated[int, msgspec.Meta(ge=1, le=20_000)] = 1
    stage: Annotated[tuple[Inner, ...], msgspec.Meta(max_length=2)] = ()
    steady: Inner | None = None
    mix: dict[Annotated[str, msgspec.Meta(pattern="^[a-z]+$")], Annotated[int, msgspec.Meta(ge=0)]] = {}

    def __post_init__(self) -> None:
        """Refuse what the types cannot."""
        if self.users == 13:
            raise ValueError("users: 13 of them are too many")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"users": 0}, "users: must be a whole number, 1 or more"),
        ({"users": 30_000}, "users: must be a whole number, 20,000 or less"),
        ({"users": "many"}, "users: must be a whole number, not a text"),
        ({"users": 2.5}, "users: must be a whole number"),
        ({"users": 13}, "users: 13 of them are too many"),
        ({"usr": 1}, "usr: there is no such field; did you mean users?"),
        ({"x": 1}, "x: there is no such field"),
        ({"stage": {}}, "stage: must be a list, not a table"),
        ({"stage": [{}]}, "stage.0.seconds: is missing"),
        ({"stage": [{"seconds": 1}, {"second": 1}]}, "stage.1.second: there is no such field; did you mean seconds?"),
        ({"stage": [{"seconds": 1}] * 3}, "stage: must be a list of 2 or less"),
        ({"steady": {"seconds": 0}}, "steady.seconds: must be a number, above 0"),
        ({"steady": {"seconds": 1, "figure": "p99"}}, "steady.figure: 'p99' is not one of errors, p95"),
        ({"steady": 3}, "steady: must be a table, not a whole number"),
        ({"mix": {"login": -1}}, "mix.NAME: must be a whole number, 0 or more"),
        ({"mix": {"Log in": 1}}, "mix: a name in it must be a text that matches ^[a-z]+$"),
    ],
)
def test_a_fault_is_named_where_it_is(content: dict[str, Any], says: str) -> None:
    """Its field by the names of the file, and what it must be in words that are no type of a language."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(content, File)
    assert fault(caught.value, File) == says


def test_text_that_is_no_toml_stays_as_it_is_told() -> None:
    """The parser's own words have the line and column."""
    with pytest.raises(msgspec.DecodeError) as caught:
        msgspec.toml.decode(b"users = ", type=File)
    assert "line" in fault(caught.value, File) or "document" in fault(caught.value, File)
