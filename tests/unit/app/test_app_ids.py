"""Identifiers that sort by creation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.repositories.ids import earliest_id, new_id


def test_ids_sort_by_creation_and_are_uuids_of_version_7() -> None:
    """A thousand ids made in a row are in order and all different."""
    made = [new_id() for _ in range(1000)]
    assert made == sorted(made)
    assert len(set(made)) == 1000
    assert {each.version for each in made} == {7}


def test_a_moment_divides_the_ids_made_before_it_from_those_after() -> None:
    """The earliest id of a moment is larger than all before and no larger than any after."""
    now = datetime.now(UTC)
    made = new_id()
    assert earliest_id(now - timedelta(milliseconds=5)) < made < earliest_id(now + timedelta(seconds=5))
