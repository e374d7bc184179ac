"""What a worker asks of its stores: queries by their names and Redis commands, how long they took and how they ended.

Times are those of ``time.perf_counter``. Names and attributes of spans are those of OpenTelemetry's database conventions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from observability.model import Histogram, Operation
from observability.record.current import REDIS, SQL, spend

if TYPE_CHECKING:
    from observability.model.kept import AttributeValue

    Attributes = tuple[tuple[str, AttributeValue], ...]

System = Literal["postgresql", "redis"]

MOST_OPERATIONS = 200
"""Past this many names of a system, operations are counted as OTHER."""

MOST_ERRORS = 8
"""Past this many kinds of errors of one operation, the others are counted as OTHER_ERROR."""

OTHER = "(other)"
OTHER_ERROR = "_OTHER"
"""OpenTelemetry's word for an error that is none of the known ones."""


class OperationMeter:
    """One kind of operation."""

    __slots__ = ("_duration", "_failed", "_frozen", "_items", "_name", "_system")

    def __init__(self, system: System, name: str) -> None:
        self._system: System = system
        self._name = name
        self._duration = Histogram()
        self._failed: dict[str, Histogram] = {}
        self._items = 0
        self._frozen: Operation | None = None

    def done(self, seconds: float, items: int = 0, error: str = "") -> None:
        """Count one; ``error`` is a short code from a small set, empty when it went well."""
        self._frozen = None
        self._duration.record(seconds)
        self._items += items
        if error:
            if error not in self._failed and len(self._failed) >= MOST_ERRORS:
                error = OTHER_ERROR
            self._failed.setdefault(error, Histogram()).record(seconds)

    def freeze(self) -> Operation:
        """Return the present counts as a value; when nothing was counted since the last call it costs nothing."""
        if self._frozen is None:
            failed = tuple((error, histogram.freeze()) for error, histogram in self._failed.items())
            errors = sum(distribution.count for _, distribution in failed)
            self._frozen = Operation(
                self._system, self._name, self._duration.freeze(), errors=errors, items=self._items, failed=failed
            )
        return self._frozen


class Operations:
    """All kinds of operations of one worker. Servers of one system share them: a query is the same on a replica."""

    def __init__(self) -> None:
        self.namespaces: dict[System, str] = {}
        """The database of each system, as the conventions say it: PostgreSQL's name, Redis's number."""
        self.read: tuple[str, Attributes] = ("MGET", (("db.system.name", "redis"), ("db.operation.name", "MGET")))
        """Name and attributes of the span of a read from Redis, for requests that are answered past their handlers."""
        self._meters: dict[tuple[System, str], OperationMeter] = {}

    def queries(self, namespace: str = "", address: str = "", port: int = 0) -> Queries:
        """Return the meter of one PostgreSQL server's queries."""
        self.namespaces["postgresql"] = namespace
        return Queries(self, namespace, address, port)

    def commands(self, namespace: str = "", address: str = "", port: int = 0) -> Commands:
        """Return the meter of one Redis server's commands."""
        self.namespaces["redis"] = namespace
        commands = Commands(self, namespace, address, port)
        self.read = commands.span("MGET")
        return commands

    def of(self, system: System, name: str) -> OperationMeter:
        """Return the meter of one kind of operation, the same one for the same name."""
        known = self._meters.get((system, name))
        if known is None:
            if sum(of == system for of, _ in self._meters) >= MOST_OPERATIONS:
                name = OTHER
            known = self._meters.setdefault((system, name), OperationMeter(system, name))
        return known

    def freeze(self) -> tuple[Operation, ...]:
        """Return every kind of operation as a value."""
        return tuple(meter.freeze() for meter in self._meters.values())


class Queries:
    """Counts the queries of one PostgreSQL server and tells the request that waits for one."""

    def __init__(self, operations: Operations, namespace: str, address: str, port: int) -> None:
        self._operations = operations
        self._server = _server("postgresql", namespace, address, port)
        self._known: dict[str, tuple[OperationMeter, Attributes]] = {}

    def done(
        self, name: str, sql: str, begin: float, end: float, rows: int = 0, error: str = "", code: str = ""
    ) -> None:
        """Count a query that the running request waited for; ``error`` is its kind, ``code`` the SQLSTATE if there is one."""
        known = self._known.get(name)
        if known is None:
            attributes = (*self._server, ("db.query.summary", name), ("db.query.text", " ".join(sql.split())))
            known = self._operations.of("postgresql", name), attributes
            if len(self._known) < MOST_OPERATIONS:
                self._known[name] = known
        meter, attributes = known
        meter.done(end - begin, rows, code or error)
        how: Attributes = (("db.response.status_code", code),) if code else (("db.response.returned_rows", rows),)
        spend(SQL, begin, end, name, code or error, attributes + how)


class Commands:
    """Counts the round trips to one Redis server, and tells requests of those that they waited for.

    A round trip may serve many requests, so the two are told apart. A name is that of the command, with ``PIPELINE``
    before it when there are several.
    """

    def __init__(self, operations: Operations, namespace: str, address: str, port: int) -> None:
        self._operations = operations
        self._server = _server("redis", namespace, address, port)
        self._target = f" {address}:{port}" if port else f" {address}" if address else ""
        self._spans: dict[str, tuple[str, Attributes]] = {}

    def done(self, name: str, begin: float, end: float, items: int = 1, error: str = "") -> None:
        """Count a round trip; ``items`` are its keys or commands, ``error`` is its kind or, in capitals, Redis's code for it."""
        self._operations.of("redis", name).done(end - begin, items, error)

    def waited(self, name: str, begin: float, end: float, items: int = 1, error: str = "") -> None:
        """Tell the running request that it waited for a round trip, from its asking to its answer."""
        span, attributes = self.span(name)
        if name.startswith("PIPELINE "):
            attributes = (*attributes, ("db.operation.batch.size", items))
        if error.isupper():
            attributes = (*attributes, ("db.response.status_code", error))
        spend(REDIS, begin, end, span, error, attributes)

    def span(self, name: str) -> tuple[str, Attributes]:
        """Return name and attributes of a span."""
        known = self._spans.get(name)
        if known is None:
            known = name + self._target, (*self._server, ("db.operation.name", name))
            if len(self._spans) < MOST_OPERATIONS:
                self._spans[name] = known
        return known


def _server(system: System, namespace: str, address: str, port: int) -> Attributes:
    attributes: Attributes = (("db.system.name", system),)
    attributes += (("db.namespace", namespace),) if namespace else ()
    attributes += (("server.address", address),) if address else ()
    return attributes + ((("server.port", port),) if port else ())
