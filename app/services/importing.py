"""Users of another system, read from a file line by line and written in batches that are there whole or not at all."""

from __future__ import annotations

import csv
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from app.security import hashes
from app.services import rules
from app.services.interruption import end_if_cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from app.services.ports import Clock

BATCH = 1_000
"""Users in one statement, with their profiles."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One user as a file has it."""

    email: str
    password_hash: str
    name: str | None = None
    email_verified: bool = False


_NEEDED = {"email", "password_hash"}
_LONGEST_NAME = 60


class Fault(NamedTuple):
    """What is wrong with a line."""

    line: int
    said: str


class ImportStore(Protocol):
    """Where imported users go."""

    async def add_all(self, entries: Sequence[Entry], now: datetime) -> set[str]:
        """Create those whose address has no account yet, all or none of them; return their addresses."""


@dataclass(frozen=True, slots=True)
class Imported:
    """How many users were made, and the lines and addresses of those that were there already."""

    users: int
    present: list[tuple[int, str]]


def read(lines: Iterable[str]) -> Iterator[tuple[int, Entry] | Fault]:
    """Read users from JSON lines, or from CSV whose first line names the fields; each with the number of its line.

    Bytes that were no UTF-8 are expected as surrogates (PEP 383).
    """
    first = ""
    rest = iter(lines)
    skipped = 0
    for line in rest:
        if line.strip():
            first = line
            break
        skipped += 1
    parse = _json if first.lstrip("\ufeff \t").startswith("{") else _csv
    seen: dict[str, int] = {}
    for number, found in parse(itertools.chain([first.lstrip("\ufeff")], rest)):
        at = number + skipped
        try:
            entry = _checked(found())
        except UnicodeError:
            yield Fault(at, "is not UTF-8")
            continue
        except (ValueError, csv.Error) as error:
            yield Fault(at, str(error))
            continue
        if (before := seen.setdefault(entry.email, at)) != at:
            yield Fault(at, f"email: is that of line {before} too")
            continue
        yield at, entry


class Importer:
    """Writes users whose address has no account yet; the others stay as they are."""

    def __init__(self, store: ImportStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self, entries: Iterable[tuple[int, Entry]], done: Callable[[int], object]) -> Imported:
        """Write them; tell ``done`` after each batch how many lines more are dealt with."""
        users = 0
        present: list[tuple[int, str]] = []
        rest = iter(entries)
        while batch := list(itertools.islice(rest, BATCH)):
            made = await self._store.add_all([entry for _, entry in batch], self._clock())
            users += len(made)
            present += [(line, entry.email) for line, entry in batch if entry.email not in made]
            done(len(batch))
            end_if_cancelled()
        return Imported(users, present)


def _json(lines: Iterable[str]) -> Iterator[tuple[int, Callable[[], Entry]]]:
    decode = msgspec.json.Decoder(Entry).decode
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, lambda line=line: decode(line)  # type: ignore[misc] # called before the next


def _csv(lines: Iterable[str]) -> Iterator[tuple[int, Callable[[], Entry]]]:
    reader = csv.DictReader(lines, strict=True)
    try:
        named = set(reader.fieldnames or ())
    except csv.Error:
        named = {""}
    if named and not _NEEDED <= named <= set(Entry.__struct_fields__):
        said = _first_line_needed(named)
        yield 1, lambda: _raise(said)
        return
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            said = str(error)
            yield reader.line_num, lambda: _raise(said)  # noqa: B023 - called before the next
            continue
        if row is None:
            return
        yield reader.line_num, lambda: _of_row(row)  # noqa: B023 - the same


def _first_line_needed(named: set[str]) -> str:
    known = Entry.__struct_fields__
    said = f"must be a JSON object, or name fields: of {', '.join(known)} the first two at least"
    unknown = sorted(named - set(known) - {""})
    return f"{said}; {unknown[0][:_LONGEST_NAME]!r} is none of them" if unknown else said


def _of_row(row: dict[str | Any, Any]) -> Entry:
    if None in row or None in row.values():
        raise ValueError("has more or fewer fields than the first line names")
    return msgspec.convert({name: text for name, text in row.items() if text}, Entry, strict=False)


def _raise(said: str) -> Entry:
    raise ValueError(said)


def _checked(entry: Entry) -> Entry:
    f"{entry.email}{entry.name}".encode()  # raises UnicodeError for what was no UTF-8
    email = _field("email", rules.email, entry.email)
    name = _field("name", rules.name, entry.name) if entry.name is not None else None
    _field("password_hash", _admitted, entry.password_hash)
    return Entry(email, entry.password_hash, name, entry.email_verified)


def _admitted(encoded: str) -> str:
    hashes.admit(encoded)
    return encoded


def _field(name: str, rule: Callable[[str], str], value: str) -> str:
    try:
        return rule(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
