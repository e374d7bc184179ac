"""A scenario's own requests, for a service of one's own: templates filled with values, and values captured from answers."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from loadgen.client import header
from loadgen.workload import Payload, Step, VirtualUser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from loadgen.client import Answer
    from loadgen.scenario import Request, Scenario
    from loadgen.target import Target

_HEADER = "header:"
_AMONG_ALL = frozenset({"user", "run", "n"})
_BREAKS = frozenset("\r\n\0")
_OURS = frozenset({"content-length", "traceparent", "transfer-encoding"})

Values = dict[str, str]


class Template:
    """A text with ``{name}`` in it; ``{{`` and ``}}`` stand for braces."""

    __slots__ = ("_encode", "_parts", "names")

    def __init__(self, text: str, encode: Callable[[str], str] = str) -> None:
        """``encode`` is done to each value before it is put in. Raises ValueError for a text that is no template."""
        self._parts: list[tuple[str, str | None]] = []
        for literal, name, spec, conversion in string.Formatter().parse(text):
            if name is not None and (not name.isidentifier() or spec or conversion):
                raise ValueError(f"{{{name}}} is not the name of a value; a brace itself is written twice")
            self._parts.append((literal, name))
        self.names = frozenset(name for _, name in self._parts if name is not None)
        self._encode = encode

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the text with the values in it; raise KeyError for one that there is not."""
        return "".join(
            literal if name is None else literal + self._encode(values[name]) for literal, name in self._parts
        )


class OwnRequests:
    """Builds the requests of a scenario that names its own."""

    unready = "no value"

    def __init__(self, scenario: Scenario, target: Target, run: str, *, part: int = 0, parts: int = 1) -> None:
        self.steps = own_steps(scenario)
        self._scenario = scenario
        self._run = run
        self._number = part - parts
        self._parts = parts
        self._requests = {name: _Encoded(request, target) for name, request in scenario.request.items()}

    def user(self, number: int) -> VirtualUser:
        """Return the virtual user of that number, who has captured nothing yet."""
        return VirtualUser(number)

    def preparation(self, users: int, spares: int) -> Iterator[tuple[str, ...]]:
        """Everyone does what the scenario names in ``prepare``."""
        del spares
        for _ in range(users):
            yield self._scenario.prepare

    def prepare(self, step: str, user: VirtualUser) -> Payload | None:
        """Return the same request as in the run."""
        return self.request(step, user)

    def request(self, step: str, user: VirtualUser) -> Payload | None:
        """Return the next request, or None when it needs a value that nobody has captured."""
        self._number += self._parts
        encoded = self._requests[step]
        if encoded.constant is not None:
            return encoded.constant
        number = self._number
        values = {name: choices[number % len(choices)] for name, choices in self._scenario.data.items()}
        try:
            return encoded.fill({**values, "user": str(user.number), "run": self._run, "n": str(number), **user.values})
        except KeyError:
            return None

    def learn(self, step: str, user: VirtualUser, answer: Answer) -> bool:
        """Capture what the request says; return False when the answer lacks it."""
        wanted = self._scenario.request[step].capture
        if not wanted:
            return True
        found = {name: _captured(answer, source) for name, source in wanted.items()}
        if not all(value is not None and _BREAKS.isdisjoint(value) for value in found.values()):
            return False
        user.values.update({name: value for name, value in found.items() if value is not None})
        return True


def own_steps(scenario: Scenario) -> dict[str, Step]:
    """Return the steps that a scenario's own requests are."""
    return {
        name: Step(name, request.method, request.route or request.path, request.expect)
        for name, request in scenario.request.items()
    }


def check_requests(scenario: Scenario) -> None:
    """Raise ValueError for a request whose templates or captures cannot be, or that needs a value from nowhere."""
    known = _AMONG_ALL | set(scenario.data) | {name for each in scenario.request.values() for name in each.capture}
    for step, request in scenario.request.items():
        if request.json is not None and request.text is not None:
            raise ValueError(f"request.{step}: either json or text, not both")
        _check_lines(step, request)
        for source in request.capture.values():
            if not source.startswith((_HEADER, "/")) and source:
                raise ValueError(f"request.{step}: capture {source!r} is neither a JSON pointer nor header:NAME")
        try:
            names = sorted(_names(request))
        except ValueError as error:
            raise ValueError(f"request.{step}: {error}") from None
        for name in names:
            if name not in known:
                raise ValueError(f"request.{step}: {{{name}}} is neither in [data] nor captured anywhere")


def _check_lines(step: str, request: Request) -> None:
    for line in (request.path, *request.headers, *request.headers.values()):
        if not line.isascii() or not _BREAKS.isdisjoint(line):
            raise ValueError(f"request.{step}: path and headers are ASCII without line breaks")
    if ours := sorted(_OURS & {name.lower() for name in request.headers}):
        raise ValueError(f"request.{step}: the header {ours[0]} is written by the generator itself")


def _names(request: Request) -> set[str]:
    """Return the values that a request needs; raise ValueError for a text that is no template."""
    texts = [request.path, *request.headers.values(), request.text or "", *_strings(request.json)]
    return {name for text in texts for name in Template(text).names}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


class _Encoded:
    """One request as far as it can be encoded before its values are known; ``constant`` when it needs none."""

    def __init__(self, request: Request, target: Target) -> None:
        body = request.json is not None or request.text is not None or request.method not in {"GET", "HEAD"}
        kind = "Content-Type: application/json\r\n" if request.json is not None else ""
        own = {name.lower() for name in request.headers}
        common = [f"Host: {target.authority}\r\n", "User-Agent: gatewatch-load\r\n", "Accept: */*\r\n", kind]
        lines = [line for line in common if line and line.partition(":")[0].lower() not in own]
        self._line = Template(f"{request.method} {request.path} HTTP/1.1\r\n", _quoted)
        self._common = "".join(lines).encode("ascii")
        self._headers = [(name, Template(value)) for name, value in request.headers.items()]
        self._json = _template(request.json)
        self._text = Template(request.text or "")
        self._bodied = body
        self._states = "tracestate" in own
        self.constant: Payload | None = None
        if not _names(request):
            self.constant = self.fill({})

    def fill(self, values: Values) -> Payload:
        headers = "".join(f"{name}: {value.fill(values)}\r\n" for name, value in self._headers).encode(
            "latin-1", "replace"
        )
        head = self._line.fill(values).encode("ascii") + self._common + headers
        if not self._bodied:
            return Payload(head, b"\r\n", self._states)
        body = (
            self._text.fill(values).encode() if self._json is None else msgspec.json.encode(_filled(self._json, values))
        )
        return Payload(head, b"Content-Length: %d\r\n\r\n%b" % (len(body), body), self._states)


def _quoted(value: str) -> str:
    return quote(value, safe="")


def _template(value: Any) -> Any:
    """Return a JSON value with templates for its strings."""
    if isinstance(value, str):
        return Template(value)
    if isinstance(value, dict):
        return {name: _template(each) for name, each in value.items()}
    return [_template(each) for each in value] if isinstance(value, list) else value


def _filled(value: Any, values: Values) -> Any:
    if isinstance(value, Template):
        return value.fill(values)
    if isinstance(value, dict):
        return {name: _filled(each, values) for name, each in value.items()}
    return [_filled(each, values) for each in value] if isinstance(value, list) else value


def _captured(answer: Answer, source: str) -> str | None:
    if source.startswith(_HEADER):
        found = header(answer.head, source.removeprefix(_HEADER).strip().lower().encode("latin-1"))
        return None if found is None else found.decode("latin-1")
    try:
        value = pointed(msgspec.json.decode(answer.body), source)
    except (msgspec.DecodeError, LookupError, ValueError):
        return None
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def pointed(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer (RFC 6901) points at; raise LookupError or ValueError when it points at nothing."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list):
            document = document[int(key)]
        elif isinstance(document, dict):
            document = document[key]
        else:
            raise LookupError(key)  # noqa: TRY004 - it points at nothing, whatever stands there
    return document
