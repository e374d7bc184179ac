"""Logs carry the trace's id, are kept with the request, and are written as JSON or for people."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING

import pytest
from multidict import CIMultiDict
from opentelemetry import context as contexts

from observability.model.kept import MOST_SPANS
from observability.record.current import Current, current
from observability.record.logs import JsonFormatter, handler, stamp_logs, stop_stamping
from observability.record.propagation import Propagation
from observability.record.provider import enter
from observability.record.trace import head_sampling

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger("shop")


@pytest.fixture
def request_under_way() -> Iterator[Current]:
    """Stamp logs while a request is served."""
    stamp_logs()
    request = Current(0.0, None, head_sampling({}))
    token, attached = current.set(request), contexts.attach(contexts.get_current())
    yield request
    current.reset(token)
    contexts.detach(attached)
    stop_stamping()


def test_a_line_within_a_request_carries_its_ids(request_under_way: Current, caplog: pytest.LogCaptureFixture) -> None:
    """Of the lowest level, too."""
    caplog.set_level(logging.DEBUG)
    _log.debug("looking")
    assert vars(caplog.records[0])["trace_id"] == request_under_way.trace.trace_id
    assert vars(caplog.records[0])["span_id"] == request_under_way.span_id


def test_lines_from_info_on_are_kept_with_the_request(request_under_way: Current) -> None:
    """With the kind of an exception and none of its words; access logs and what nobody wants logged are left out."""
    _log.setLevel(logging.INFO)
    _log.debug("not this")
    _log.info("%s ordered", "ann")
    logging.getLogger("sanic.access").warning("GET /")
    try:
        int("the secret")
    except ValueError:
        _log.exception("no luck")
    _log.setLevel(logging.NOTSET)
    kept = [(line.level, line.logger, line.message) for line in request_under_way.logs]
    assert kept == [("INFO", "shop", "ann ordered"), ("ERROR", "shop", "no luck (ValueError)")]


def test_only_so_many_lines_are_kept(request_under_way: Current) -> None:
    """The others are counted."""
    for n in range(MOST_SPANS + 5):
        _log.warning("line %d", n)
    assert len(request_under_way.logs) == MOST_SPANS
    assert request_under_way.dropped == 5


def test_a_line_after_the_request_is_stamped_and_not_kept(
    request_under_way: Current, caplog: pytest.LogCaptureFixture
) -> None:
    """A task that a handler left behind still belongs to its trace."""
    request_under_way.ended = True
    _log.warning("done at last")
    assert vars(caplog.records[0])["trace_id"] == request_under_way.trace.trace_id
    assert request_under_way.logs == []


def test_a_line_outside_a_request_has_empty_ids(caplog: pytest.LogCaptureFixture) -> None:
    """So that a format may name them."""
    stamp_logs()
    _log.warning("starting")
    stop_stamping()
    assert vars(caplog.records[0])["trace_id"] == ""
    _log.warning("stopped")
    assert "trace_id" not in vars(caplog.records[1])


def test_stamping_twice_is_stamping_once() -> None:
    """And stopping restores what made records before."""
    before = logging.getLogRecordFactory()
    stamp_logs()
    stamp_logs()
    stop_stamping()
    assert logging.getLogRecordFactory() is before


def test_json_is_one_object_a_line() -> None:
    """With what was given as extra, and the exception in full."""
    record = logging.makeLogRecord(
        {"name": "shop", "levelname": "ERROR", "msg": "%d left\nof it", "args": (3,), "trace_id": "ab", "tenant": "t1"}
    )
    shelf: dict[str, int] = {}
    try:
        shelf["tea"]
    except KeyError as error:
        record.exc_info = (KeyError, error, error.__traceback__)
    line = JsonFormatter({"worker": 2}).format(record)
    assert "\n" not in line
    read = json.loads(line)
    assert read.pop("time").endswith("+00:00")
    assert read.pop("exception").endswith("KeyError: 'tea'")
    assert read == {
        "level": "ERROR",
        "logger": "shop",
        "message": "3 left\nof it",
        "worker": 2,
        "trace_id": "ab",
        "tenant": "t1",
    }


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_written_to_for_people() -> None:
    """Unless JSON is asked for; elsewhere it is JSON unless text is."""
    record = logging.makeLogRecord({"name": "shop", "levelname": "INFO", "msg": "open", "trace_id": "ab"})
    about = {"worker": 1}
    assert handler("auto", about, _Terminal()).format(record).endswith(" worker 1: INFO open [trace ab]")
    assert handler("text", about, io.StringIO()).format(record).endswith(" worker 1: INFO open [trace ab]")
    assert json.loads(handler("auto", about, io.StringIO()).format(record))["message"] == "open"
    assert json.loads(handler("json", about, _Terminal()).format(record))["message"] == "open"


def test_a_line_whose_arguments_do_not_fit_hurts_nobody_but_its_handler(request_under_way: Current) -> None:
    """Whatever goes wrong in writing it: a mapping without the name, an object that cannot be told."""

    class Untold:
        def __str__(self) -> str:
            raise RuntimeError

    make = logging.getLogRecordFactory()
    for args in (({"b": 1},), (Untold(),)):
        make("shop", logging.INFO, __file__, 1, "%(a)s" if isinstance(args[0], dict) else "%s", args, None)
    assert [line.message for line in request_under_way.logs] == ["%(a)s", "%s"]


def test_an_address_that_a_handler_failed_at_is_not_kept(request_under_way: Current) -> None:
    """Sanic writes it in full, with its query, which may hold a token."""
    logging.getLogger("sanic.error").error("Exception occurred while handling uri: %s", "'http://a/?token=secret'")
    assert [line.message for line in request_under_way.logs] == ["Exception occurred while handling uri: %s"]


def test_odd_bytes_of_a_header_can_be_kept_and_written(request_under_way: Current) -> None:
    """They come as lone surrogates, which no encoding has. A record that is made empty, to be filled, is none to be kept."""
    odd = b"\xffann".decode(errors="surrogateescape")
    _log.warning("hello %s", odd)
    [line] = request_under_way.logs
    assert line.message == "hello ?ann"
    record = logging.makeLogRecord({"msg": "hello %s", "args": (odd,), "shelf": {1}})
    assert json.loads(JsonFormatter({}).format(record))["message"] == f"hello {odd}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tracestate", b"!!"),
        ("tracestate", b"a=\xff"),
        ("tracestate", b"a=b," * 2000),
        ("baggage", b"\xff"),
        ("baggage", b"secret words"),
        ("baggage", b"a=\xff%ff%00"),
        ("baggage", b"," * 8000),
        ("baggage", b"secret=" + b"x" * 8185),
        ("traceparent", b"\xff" * 8000),
    ],
)
def test_a_strangers_odd_headers_are_neither_logged_nor_in_the_way_of_logging(
    request_under_way: Current, name: str, value: bytes
) -> None:
    """OpenTelemetry warns of a bad tracestate, in its words, and so would each line that asks for the ids of its trace."""
    caller = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    request_under_way.headers = CIMultiDict({**caller, name: value.decode(errors="surrogateescape")})
    enter(request_under_way, Propagation())
    _log.warning("hello")
    assert [line.message for line in request_under_way.logs] == ["hello"]
