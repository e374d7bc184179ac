"""Logs of a request: each line carries the trace's id and becomes part of the trace, if that is kept.

A factory of log records does it, so no handler or logger has to be touched, and whoever configures them later finds the
ids on every record: ``trace_id`` and ``span_id``, empty outside a request.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from opentelemetry import trace

from observability.model.kept import MOST_SPANS, KeptLog
from observability.record.current import current

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TextIO

    from observability.record.current import Current

    Make = Callable[..., logging.LogRecord]

Form = Literal["auto", "json", "text"]

LONGEST_MESSAGE = 1000
"""Characters of a message that a kept trace has."""

_NOT_KEPT = "sanic.access"
"""It says of each request what its record says."""

_UNFORESEEN = "sanic.error"
"""Its arguments are addresses in full, with the query; what it says without them is kept."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "trace_id", "span_id"}


def stamp_logs() -> None:
    """Give every log record of this process its ids; once is enough."""
    make = logging.getLogRecordFactory()
    if not getattr(make, "stamps", False):
        logging.setLogRecordFactory(_stamping(make))


def stop_stamping() -> None:
    """Make log records as before, unless somebody else has changed that since."""
    make: Any = logging.getLogRecordFactory()
    if getattr(make, "stamps", False):
        logging.setLogRecordFactory(make.before)


def _stamping(before: Make) -> Make:
    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        request = current.get()
        record.trace_id, record.span_id = _ids(request)
        if (
            request is not None
            and not request.ended
            and (record.levelno or 0) >= logging.INFO
            and record.name != _NOT_KEPT
        ):
            _keep(request, record)
        return record

    make.stamps = True  # type: ignore[attr-defined]  # a function may have attributes
    make.before = before  # type: ignore[attr-defined]  # the same
    return make


def legible(text: str) -> str:
    """Return as much of a text as a kept trace has; what of it is no Unicode, such as odd bytes of a header, becomes a question mark."""
    return text[:LONGEST_MESSAGE].encode(errors="replace").decode()


def _ids(request: Current | None) -> tuple[str, str]:
    span = trace.get_current_span()
    if span is not trace.INVALID_SPAN:
        context = span.get_span_context()
        return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
    return (request.trace.trace_id, request.span_id) if request is not None else ("", "")


def _keep(request: Current, record: logging.LogRecord) -> None:
    if len(request.logs) >= MOST_SPANS:
        request.dropped += 1
        return
    if record.name == _UNFORESEEN:
        message = str(record.msg)
    else:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - the handlers complain of arguments that do not fit; whoever logs must not be hit
            message = str(record.msg)
    if record.exc_info and record.exc_info[0]:
        message += f" ({record.exc_info[0].__name__})"  # what it says besides may be anything, a secret too
    at = time.perf_counter() - request.begin
    request.logs.append(KeptLog(at, record.levelname, record.name, legible(message)))


def handler(form: Form, about: Mapping[str, str | int], stream: TextIO | None = None) -> logging.Handler:
    """Return a handler that writes JSON or text, "auto" being text at a terminal; ``about`` is told in every line."""
    made = logging.StreamHandler(stream or sys.stderr)
    as_text = form == "text" or (form == "auto" and made.stream.isatty())
    made.setFormatter(TextFormatter(about) if as_text else JsonFormatter(about))
    return made


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339), level, logger, message, what it is told to add, ids, ``extra``, exception."""

    def __init__(self, about: Mapping[str, str | int]) -> None:
        super().__init__()
        self._about = dict(about)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._about,
        }
        line |= {name: held for name in ("trace_id", "span_id") if (held := getattr(record, name, ""))}
        line |= {name: held for name, held in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return msgspec.json.encode(line, enc_hook=str).decode()
        except UnicodeEncodeError:  # odd bytes of a header, which the standard library escapes
            return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """For people: time, who, level, message, and the trace's id where there is one."""

    def __init__(self, about: Mapping[str, str | int]) -> None:
        who = " ".join(f"{name} {value}" for name, value in about.items())
        super().__init__(f"%(asctime)s {who}: %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """Return the line without an exception's."""
        trace_id = getattr(record, "trace_id", "")
        return super().formatMessage(record) + (f" [trace {trace_id}]" if trace_id else "")
