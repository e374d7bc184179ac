"""What is asked of the stores is counted within bounds, whatever it is called and however it fails."""

from __future__ import annotations

from observability.record import Recorder
from observability.record.operations import MOST_ERRORS, MOST_OPERATIONS, OTHER, OTHER_ERROR


def test_names_are_bounded() -> None:
    """Ten thousand names are two hundred operations and one for all others, of each system, and none is lost."""
    recorder = Recorder(instance="here")
    queries, commands = recorder.operations.queries(), recorder.operations.commands()
    for number in range(10_000):
        queries.done(f"query {number}", "SELECT 1", 0.0, 0.1, rows=1)
        commands.done(f"COMMAND{number}", 0.0, 0.1)
    operations = recorder.snapshot().operations
    assert len(operations) == 2 * (MOST_OPERATIONS + 1)
    assert sum(operation.duration.count for operation in operations) == 20_000
    others = [operation.duration.count for operation in operations if operation.name == OTHER]
    assert others == [10_000 - MOST_OPERATIONS] * 2


def test_errors_are_bounded() -> None:
    """Past so many kinds of errors of an operation, the others are one kind; those known go on by their names."""
    recorder = Recorder(instance="here")
    queries = recorder.operations.queries()
    for number in (*range(50), 0):
        queries.done("query", "SELECT 1", 0.0, 0.1, error=f"Error{number}")
    [operation] = recorder.snapshot().operations
    failed = {error: distribution.count for error, distribution in operation.failed}
    assert len(failed) == MOST_ERRORS + 1
    assert (failed["Error0"], failed[OTHER_ERROR], operation.errors) == (2, 50 - MOST_ERRORS, 51)


def test_servers_of_a_system_share_their_counts() -> None:
    """A query is the same on a replica; each server is named in the spans of its own."""
    recorder = Recorder(instance="here")
    for address in ("primary", "replica"):
        recorder.operations.queries("gatewatch", address, 5432).done("users_page", "SELECT 1", 0.0, 0.1)
    [operation] = recorder.snapshot().operations
    assert (operation.name, operation.duration.count) == ("users_page", 2)
    assert recorder.snapshot().namespaces == (("postgresql", "gatewatch"),)
