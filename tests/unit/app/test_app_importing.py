"""Files of users from other systems."""

from __future__ import annotations

import pytest

from app.services.importing import Entry, Fault, read

HASH = "$2b$04$" + "." * 53
ARGON = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$" + "A" * 43


def test_json_lines_and_csv_say_the_same() -> None:
    """Addresses are normalised, blank lines are none, and what is left out has its default."""
    json = f'\n{{"email": " Ann@Example.org", "password_hash": "{HASH}", "name": "Ann", "email_verified": true}}\n\n{{"email": "bob@example.org", "password_hash": "{ARGON}"}}\n'
    table = f'\ufeffemail,name,password_hash,email_verified\nAnn@example.org,Ann,{HASH},true\n\nbob@example.org,,"{ARGON}",\n'
    ann, bob = Entry("ann@example.org", HASH, "Ann", email_verified=True), Entry("bob@example.org", ARGON)
    assert list(read(json.splitlines(keepends=True))) == [(2, ann), (4, bob)]
    assert [found[1] for found in read(table.splitlines(keepends=True))] == [ann, bob]
    assert list(read([])) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "Input data was truncated"),
        ("[]", "Expected `object`, got `array`"),
        ('{"email": "x@example.org"}', "missing required field `password_hash`"),
        ('{"email": "x@example.org", "password_hash": "x", "salt": "y"}', "unknown field `salt`"),
        ('{"email": "x@example.org", "password_hash": "x"}', "password_hash: is no hash of a kind"),
        (f'{{"email": "x", "password_hash": "{HASH}"}}', "email: "),
        (f'{{"email": "x@example.org", "password_hash": "{HASH}", "name": "a\\nb"}}', "name: must not contain"),
        (f'{{"email": "ANN@example.org", "password_hash": "{HASH}"}}', "email: is that of line 1 too"),
    ],
)
def test_a_line_that_cannot_be_used_is_told_with_its_number(line: str, said: str) -> None:
    """The others are read on."""
    good = f'{{"email": "%s@example.org", "password_hash": "{HASH}"}}'
    first, fault, last = read([good % "ann", line, good % "bob"])
    assert isinstance(fault, Fault)
    assert fault.line == 2
    assert said in fault.said
    assert (first[0], last[0]) == (1, 3)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x@example.org", "more or fewer fields"),
        (f"x@example.org,{HASH},maybe", "email_verified"),
        (f"x@example.org,{HASH},true,y", "more or fewer fields"),
        (f"x@example.org,{HASH}x,true", "password_hash: is no hash"),
        (",,", "missing required field"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_with_its_number(line: str, said: str) -> None:
    """In CSV, too."""
    fault, (number, _) = read(["email,password_hash,email_verified\n", line + "\n", f"bob@example.org,{HASH},1\n"])
    assert isinstance(fault, Fault)
    assert (fault.line, number) == (2, 3)
    assert said in fault.said


@pytest.mark.parametrize(
    ("first", "unknown"),
    [
        ("[{}]", "'[{}]'"),
        ("email;password_hash", "'email;password_hash'"),
        ("email,password_hash,salt", "'salt'"),
        ("email", ""),
        ('"', ""),
        ('"' + "x" * 200_000, ""),
    ],
)
def test_a_file_of_another_kind_is_told_at_its_first_line(first: str, unknown: str) -> None:
    """It is not taken for one without users, and a field that nobody knows is named."""
    [fault] = read([first + "\n", "x,y\n"])
    assert isinstance(fault, Fault)
    assert (fault.line, fault.said[:21]) == (1, "must be a JSON object")
    assert fault.said.endswith(f"; {unknown} is none of them" if unknown else "the first two at least")


@pytest.mark.parametrize("before", ["", "email,password_hash,name\n"])
def test_what_is_no_utf8_is_told(before: str) -> None:
    """A name in Latin-1 is not taken for another one."""
    line = f"x@example.org,{HASH},J\udcfcrgen\n"
    if not before:
        line = f'{{"email": "x@example.org", "password_hash": "{HASH}", "name": "J\udcfcrgen"}}'
    [fault] = read([before, line])
    assert fault[1] == "is not UTF-8"
